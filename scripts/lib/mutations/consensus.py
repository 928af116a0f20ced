"""Small faults of consensus: quorums, proofs, leaders, rounds."""

from mutations.model import (
    BYZANTINE,
    CHAOS,
    LOSSY,
    PROTOCOL,
    QBFT,
    UNIT_COMMITTEE,
    UNIT_FORKS,
    UNIT_QBFT,
    VECTORS,
    Mutant,
)

CONSENSUS = (
    Mutant(
        "quorum one lower",
        PROTOCOL + "types/share.py",
        "return 2 * self.faulty_nodes + 1",
        "return 2 * self.faulty_nodes",
        (LOSSY, UNIT_QBFT),
    ),
    Mutant(
        "partial quorum one lower",
        PROTOCOL + "types/share.py",
        "return self.faulty_nodes + 1",
        "return self.faulty_nodes",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "commit quorum one lower",
        QBFT + "instance.py",
        "if len(signers) < self.context.quorum:",
        "if len(signers) < self.context.quorum - 1:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepare quorum one lower",
        QBFT + "instance.py",
        "return distinct_signers(self.state.prepares.of_round(self.state.round)) >= self.context.quorum",
        "return distinct_signers(self.state.prepares.of_round(self.state.round)) >= self.context.quorum - 1",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "round change quorum one lower in a proposal's proof",
        QBFT + "justification.py",
        "if distinct_signers(round_changes) < context.quorum:",
        "if distinct_signers(round_changes) < context.quorum - 1:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepare quorum one lower in a round change's proof",
        QBFT + "justification.py",
        """    if distinct_signers(prepares) < context.quorum:
        raise ProtocolError(
            f"{distinct_signers(prepares)} operators prepared""",
        """    if distinct_signers(prepares) < context.quorum - 1:
        raise ProtocolError(
            f"{distinct_signers(prepares)} operators prepared""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepare quorum one lower in a proposal's proof",
        QBFT + "justification.py",
        """    if distinct_signers(prepares) < context.quorum:
        raise ProtocolError(f"prepares of""",
        """    if distinct_signers(prepares) < context.quorum - 1:
        raise ProtocolError(f"prepares of""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "quorums count messages, not operators",
        QBFT + "containers.py",
        "return len({operator_id for message in messages for operator_id in message.signers})",
        "return len([operator_id for message in messages for operator_id in message.signers])",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signers of commits may overlap",
        QBFT + "containers.py",
        "if not any(operator_id in signers for operator_id in message.signers):",
        "if message.signers:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a second message of an operator in a round counts",
        QBFT + "containers.py",
        """            return False
        self.add(message)
        return True""",
        """            pass
        self.add(message)
        return True""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "proposals after round 1 need no proof",
        QBFT + "justification.py",
        "if round_ == FIRST_ROUND:\n        return",
        "if round_ >= FIRST_ROUND:\n        return",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a round change's value need not be what was prepared",
        QBFT + "justification.py",
        "    _check_value_root(full_data, message)\n    if distinct_signers(prepares)",
        "    if distinct_signers(prepares)",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepares of any round prove a proposal",
        QBFT + "justification.py",
        "check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)",
        "check_prepare(context, prepare, height, prepare.content.round, highest.content.root)",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the value prepared first counts, not the last",
        QBFT + "justification.py",
        "highest = max(prepared,",
        "highest = min(prepared,",
        (VECTORS, UNIT_QBFT, CHAOS),
    ),
    Mutant(
        "round changes of another duty count in a proof",
        QBFT + "justification.py",
        """    _check_identifier(context, message)
    if not message.is_prepared_round_change:""",
        "    if not message.is_prepared_round_change:",
        (UNIT_QBFT,),
    ),
    Mutant(
        "prepares of another duty count in a proof",
        QBFT + "justification.py",
        """    _check_identifier(context, message)


def is_valid_prepare""",
        """

def is_valid_prepare""",
        (UNIT_QBFT,),
    ),
    Mutant(
        "signatures of round changes in a proposal are not checked",
        QBFT + "justification.py",
        """        check_round_change(context, message, height, round_, value)
        context.verify(message.signed)""",
        """        check_round_change(context, message, height, round_, value)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signatures of prepares in a round change are not checked",
        QBFT + "justification.py",
        """        check_prepare(context, prepare, height, content.data_round, content.root)
        context.verify(prepare.signed)""",
        """        check_prepare(context, prepare, height, content.data_round, content.root)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signatures of prepares in a proposal are not checked",
        QBFT + "justification.py",
        """            check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)
            context.verify(prepare.signed)""",
        """            check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signatures of a decided message are not checked",
        QBFT + "justification.py",
        """    check_commit_base(context, message, height)
    context.verify(message.signed)""",
        """    check_commit_base(context, message, height)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a decided message's value need not be what was committed to",
        QBFT + "justification.py",
        """    context.verify(message.signed)
    _check_value_root(message.signed.full_data, message)""",
        """    context.verify(message.signed)""",
        (VECTORS, BYZANTINE, UNIT_QBFT),
    ),
    Mutant(
        "anybody may propose",
        QBFT + "justification.py",
        "if message.signers != (leader,):",
        "if not message.signers:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the value check is off in proposals",
        QBFT + "justification.py",
        "    context.check_value(value)\n    if round_ == FIRST_ROUND:",
        "    if round_ == FIRST_ROUND:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the value check is off at the start",
        QBFT + "controller.py",
        "        self.context.check_value(value)\n",
        "",
        (VECTORS, UNIT_QBFT, UNIT_COMMITTEE),
    ),
    Mutant(
        "messages of past rounds are taken",
        QBFT + "instance.py",
        "if message.content.round < self.state.round:",
        "if message.content.round < 0:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a second proposal of a round is accepted",
        QBFT + "justification.py",
        "if not (first_of_this_round or content.round > state.round):",
        "if content.round < state.round:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepares for another root count",
        QBFT + "justification.py",
        "    message.validate()\n    _check_proposed_root(message, root)",
        "    message.validate()",
        (VECTORS, UNIT_QBFT, CHAOS),
    ),
    Mutant(
        "commits of another round count",
        QBFT + "justification.py",
        """    _check_one_signer(message)
    _check_round(message, round_)
    _check_proposed_root(message, root)""",
        """    _check_one_signer(message)
    _check_proposed_root(message, root)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a round change does not say what was prepared",
        QBFT + "messages.py",
        "data_round=NO_ROUND if prepared is None else prepared.round,",
        "data_round=NO_ROUND,",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the last round is one too many",
        QBFT + "instance.py",
        "self.state.round < self.context.cutoff_round",
        "self.state.round <= self.context.cutoff_round",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a round that runs out leaves the accepted proposal in place",
        QBFT + "instance.py",
        "        self.state.round = round_\n        self.state.accepted_proposal = None\n",
        "        self.state.round = round_\n",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "followers go to the latest round asked for",
        QBFT + "instance.py",
        "earliest = min(stored.content.round for stored in later)",
        "earliest = max(stored.content.round for stored in later)",
        (VECTORS, UNIT_QBFT, BYZANTINE),
    ),
    Mutant(
        "a stale timer changes the round",
        QBFT + "controller.py",
        "if instance is None or instance.state.decided or round_ != instance.state.round:",
        "if instance is None or instance.state.decided:",
        (VECTORS, UNIT_QBFT, UNIT_COMMITTEE),
    ),
    Mutant(
        "a message of another identifier is taken",
        QBFT + "controller.py",
        "if content.identifier != self.context.identifier:",
        "if not content.identifier:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "Alan's leader is one further",
        PROTOCOL + "forks.py",
        "return operator_ids[(height + round_ - 1) % len(operator_ids)]",
        "return operator_ids[(height + round_) % len(operator_ids)]",
        (UNIT_FORKS,),
    ),
    Mutant(
        "Boole's leader forgets the epoch",
        PROTOCOL + "forks.py",
        "(height + height // slots_per_epoch + round_ - 1)",
        "(height + round_ - 1)",
        (UNIT_FORKS,),
    ),
    Mutant(
        "a leader does not leave out what does not fit",
        QBFT + "prepared.py",
        "yield from (_proof(_fitting(everything, message), message, own_value) for message in latest)",
        "yield from ()",
        (UNIT_QBFT,),
    ),
    Mutant(
        "a leader proposes with each round change",
        QBFT + "instance.py",
        "if not may_propose or round_ == self._proposed_in or",
        "if not may_propose or",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a value prepared before takes the place of a later one",
        QBFT + "prepared.py",
        "message.content.data_round <= known:",
        "message.content.data_round == known:",
        (UNIT_QBFT,),
    ),
    Mutant(
        "a value that the own check refuses is asked for",
        QBFT + "instance.py",
        "            self.context.check_value(found.value)\n",
        "            pass\n",
        (UNIT_QBFT,),
    ),
)
"""All of these."""
