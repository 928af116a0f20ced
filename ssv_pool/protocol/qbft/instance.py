"""One QBFT instance: the operators of a committee decide one value for one height. The whole state machine is here.

The rules
=========

The instance starts in round 1. Each round has a leader, known to all. The leader of round 1 proposes the value that it
was started with.

* *Proposal.* An operator accepts the first valid proposal of its round, or one of a later round, which takes it there.
  Valid means: signed by the round's leader, the value passes the own check, and after round 1 a quorum of round
  changes proves that the round may begin and that no other value can have been decided. It answers with a *prepare*.
* *Prepare.* With prepares of a quorum for the accepted proposal the operator has *prepared* the value: it remembers
  value and round, and sends a *commit*.
* *Commit.* With commits of a quorum for one root in one round the value is *decided*. The commits put together make a
  decided message that convinces everybody else by itself, in whatever round they are (see ``controller``).
* *Timeout.* An operator whose round runs out asks for the next one with a *round change*, which carries what it had
  prepared, and proof of it; and it moves on.
* *Round change.* The leader of a round that a quorum asks for proposes: the value prepared last by any of them, or its
  own value if none had prepared. An operator that sees f+1 others ask for later rounds follows them to the earliest
  of those: at least one of them is honest.
* *Two prepared values.* All the round changes that prove a proposal must fit its value, so those of operators that
  prepared different values in different rounds prove nothing together. Two things keep that from lasting: the leader
  takes a quorum of them that does fit, with the value prepared last if it can choose, and looks again with each further
  round change; and an operator that had prepared one value and is shown that another was prepared in a later round
  asks for rounds with that one and its proof from then on. Neither can undo a decision: what was decided is what was
  prepared in every later round (see ``prepared``).

A quorum takes effect once, by the message that completes it. Of each kind, one message per operator and round counts. A
message for a round that is over is refused; one that comes too early for the state is refused with a code that says so,
and whoever owns the instance may offer it again later. A quorum is 2f+1 different operators, where n = 3f+1.

The instance stops for good when its round reaches the cut-off, or when its owner starts another height; only a decided
message changes it then. The signatures of messages handed in have been checked by the caller; those of messages
embedded in them are checked here.
"""

from ssv_pool.protocol.qbft import messages
from ssv_pool.protocol.qbft.containers import ProcessingMessage, distinct_signers, hash_value
from ssv_pool.protocol.qbft.context import FIRST_ROUND, NO_ROUND, Context
from ssv_pool.protocol.qbft.justification import (
    check_commit,
    check_justification,
    check_prepare,
    check_proposal,
    check_round_change,
)
from ssv_pool.protocol.qbft.prepared import Prepared, Proof, later_prepared, proofs
from ssv_pool.protocol.qbft.state import InstanceState
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import Round, Slot
from ssv_pool.protocol.types.roles import QBFTMessageType


class Instance:
    """The state machine for one height. It changes only through its methods, and speaks only through the context."""

    __slots__ = ("_adopted", "_proposed_in", "_started", "context", "force_stopped", "start_value", "state")

    def __init__(self, context: Context, height: Slot) -> None:
        self.context = context
        self.state = InstanceState(height)
        self.start_value = b""
        self.force_stopped = False
        self._started = False
        self._adopted: Prepared | None = None
        self._proposed_in = NO_ROUND

    @property
    def can_process(self) -> bool:
        """Whether it still takes part in consensus."""
        return not self.force_stopped and self.state.round < self.context.cutoff_round

    def force_stop(self) -> None:
        """Take no further part; a decided message still decides."""
        self.force_stopped = True

    def start(self, value: bytes) -> None:
        """Begin round 1 with the own value; later calls do nothing."""
        if self._started:
            return
        self._started = True
        self.start_value = value
        self.state.round = FIRST_ROUND
        self._arm_timer()
        if self._leads(FIRST_ROUND):
            self._broadcast(messages.create_proposal(self.context, self.state, value, (), ()))

    def process(self, message: ProcessingMessage) -> SignedSSVMessage | None:
        """Take one message.

        Returns:
            The decided message (the commits of a quorum in one, with the value) if this message decided the instance.

        Raises:
            ProtocolError: it breaks a rule; nothing has changed, except that a quorum may have been completed whose own
                message could not be sent because the instance has stopped.
        """
        self._check_can_process()
        message.validate()
        if message.content.round < self.state.round:
            raise ProtocolError(
                f"round {message.content.round} is over; the instance is in {self.state.round}", ErrorCode.PAST_ROUND
            )
        match message.content.msg_type:
            case QBFTMessageType.PROPOSAL:
                self._on_proposal(message)
            case QBFTMessageType.PREPARE:
                self._on_prepare(message)
            case QBFTMessageType.COMMIT:
                return self._on_commit(message)
            case QBFTMessageType.ROUND_CHANGE:
                self._on_round_change(message)
            case _:
                raise ProtocolError(f"message type {message.content.msg_type}, expected 0 to 3")
        return None

    def time_out(self) -> None:
        """The current round ran out: ask for the next one.

        Raises:
            ProtocolError: TIMEOUT_INSTANCE, the instance has stopped.
        """
        if not self.can_process:
            raise ProtocolError("the instance has stopped, its round cannot run out", ErrorCode.TIMEOUT_INSTANCE)
        following = Round(self.state.round + 1)
        # Sent before the round changes, so that the last permitted round change asks for the cut-off round itself.
        try:
            self._ask_for(following)
        finally:
            self._enter_round(following)

    def decide(self, value: bytes, round_: Round | None = None) -> None:
        """Note the decision; a decided message also says in which round it fell."""
        self.state.decided = True
        self.state.decided_value = value
        if round_ is not None:
            self.state.round = round_

    def _on_proposal(self, message: ProcessingMessage) -> None:
        state = self.state
        check_proposal(self.context, state, message)
        if not state.proposals.add_first(message):
            return
        state.accepted_proposal = message
        if message.content.round > state.round:
            state.round = message.content.round
            self._arm_timer()
        root = hash_value(message.signed.full_data)
        self._broadcast(messages.create_prepare(self.context, state, state.round, root))

    def _on_prepare(self, message: ProcessingMessage) -> None:
        state = self.state
        proposal = self._accepted_proposal()
        check_prepare(self.context, message, state.height, state.round, proposal.content.root)
        had_quorum = self._has_quorum_of_prepares()
        if not state.prepares.add_first(message) or had_quorum or not self._has_quorum_of_prepares():
            return
        state.last_prepared_value = proposal.signed.full_data
        state.last_prepared_round = state.round
        self._broadcast(messages.create_commit(self.context, state, proposal.content.root))

    def _on_commit(self, message: ProcessingMessage) -> SignedSSVMessage | None:
        state = self.state
        proposal = self._accepted_proposal()
        check_commit(self.context, message, state.height, state.round, proposal.content.root)
        if not state.commits.add_first(message):
            return None
        signers, commits = state.commits.longest_unique_signers(message.content.round, message.content.root)
        if len(signers) < self.context.quorum:
            return None
        decided = aggregate_commits(commits, proposal.signed.full_data)
        self.decide(proposal.signed.full_data)
        return decided

    def _on_round_change(self, message: ProcessingMessage) -> None:
        state = self.state
        round_ = message.content.round
        check_round_change(self.context, message, state.height, round_, message.signed.full_data)
        had_quorum = self._has_quorum_of_round_changes(round_)
        if not state.round_changes.add_first(message):
            return
        self._learn_from(message)
        proof = self._justified_proposal(round_)
        if proof is not None:
            self._proposed_in = round_
            self._broadcast(
                messages.create_proposal(
                    self.context,
                    state,
                    proof.value,
                    [stored.signed for stored in proof.round_changes],
                    [prepare.signed for prepare in proof.prepares()],
                )
            )
            return
        if had_quorum:
            return
        later = [stored for stored in state.round_changes if stored.content.round > state.round]
        if distinct_signers(later) >= self.context.partial_quorum:
            earliest = min(stored.content.round for stored in later)
            self._enter_round(earliest)
            self._ask_for(earliest)

    def _justified_proposal(self, round_: Round) -> Proof | None:
        """What to propose in ``round_``, with what proves it; None unless it may propose now."""
        state = self.state
        waits_for_proposal = state.accepted_proposal is None and round_ == state.round
        may_propose = self._leads(round_) and (waits_for_proposal or round_ > state.round)
        if not may_propose or round_ == self._proposed_in or not self._has_quorum_of_round_changes(round_):
            return None
        for proof in proofs(state.round_changes.of_round(round_), self.start_value):
            try:
                check_justification(
                    self.context,
                    round_changes=proof.round_changes,
                    prepares=proof.prepares(),
                    height=state.height,
                    round_=round_,
                    value=proof.value,
                )
            except ProtocolError:
                continue
            return proof
        return None

    def _learn_from(self, message: ProcessingMessage) -> None:
        """Give up what was prepared here for what was prepared in a later round, if that passes the own value check."""
        found = later_prepared(self.state, self._adopted, message)
        if found is None:
            return
        try:
            self.context.check_value(found.value)
        except ProtocolError:
            return
        self._adopted = found

    def _ask_for(self, round_: Round) -> None:
        self._broadcast(messages.create_round_change(self.context, self.state, round_, self._adopted))

    def _enter_round(self, round_: Round) -> None:
        self.state.round = round_
        self.state.accepted_proposal = None
        self._arm_timer()

    def _arm_timer(self) -> None:
        self.context.output.arm_round_timer(self.state.height, self.state.round)

    def _broadcast(self, message: SignedSSVMessage) -> None:
        self._check_can_process()
        self.context.output.broadcast(message)

    def _check_can_process(self) -> None:
        if not self.can_process:
            raise ProtocolError(
                f"the instance of height {self.state.height} has stopped in round {self.state.round}",
                ErrorCode.INSTANCE_STOPPED_PROCESSING_MESSAGES,
            )

    def _accepted_proposal(self) -> ProcessingMessage:
        if self.state.accepted_proposal is None:
            raise ProtocolError(
                f"no proposal was accepted in round {self.state.round} yet", ErrorCode.NO_PROPOSAL_FOR_CURRENT_ROUND
            )
        return self.state.accepted_proposal

    def _leads(self, round_: Round) -> bool:
        return self.context.leader(self.state.height, round_) == self.context.member.operator_id

    def _has_quorum_of_prepares(self) -> bool:
        return distinct_signers(self.state.prepares.of_round(self.state.round)) >= self.context.quorum

    def _has_quorum_of_round_changes(self, round_: Round) -> bool:
        return distinct_signers(self.state.round_changes.of_round(round_)) >= self.context.quorum


def aggregate_commits(commits: tuple[ProcessingMessage, ...], value: bytes) -> SignedSSVMessage:
    """Put commits to one root together into a decided message, signers ascending.

    Raises:
        ProtocolError: ZERO_COMMIT_MESSAGES.
    """
    if not commits:
        raise ProtocolError("no commits to put together", ErrorCode.ZERO_COMMIT_MESSAGES)
    pairs = sorted(
        pair for commit in commits for pair in zip(commit.signed.operator_ids, commit.signed.signatures, strict=True)
    )
    return SignedSSVMessage(
        signatures=tuple(signature for _, signature in pairs),
        operator_ids=tuple(operator_id for operator_id, _ in pairs),
        ssv_message=commits[0].signed.ssv_message,
        full_data=value,
    )
