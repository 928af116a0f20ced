"""Rules 20 to 37 for consensus messages."""

from hashlib import sha256

from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage
from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.protocol.types.roles import QBFTMessageType
from ssv_pool.protocol.validation.envelope import Envelope
from ssv_pool.protocol.validation.moment import Moment
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError
from ssv_pool.protocol.validation.state import MAX_DECIDED, SlotRecord
from ssv_pool.protocol.validation.timing import (
    check_duty_count,
    check_duty_known,
    check_no_later_slot,
    check_round_is_near,
    check_time,
)


def decode_consensus(message: SignedSSVMessage) -> QBFTMessage:
    """Rule 20. Raises RuleBrokenError."""
    try:
        return QBFTMessage.decode(message.ssv_message.data)
    except ProtocolError as error:
        raise RuleBrokenError(Rule.CONSENSUS_UNDECODABLE, str(error)) from error


def check_consensus(envelope: Envelope, content: QBFTMessage) -> None:
    """Rules 21 to 29: what needs neither memory nor clock. Raises RuleBrokenError."""
    _check_signer_count(envelope, content)
    _check_full_data(envelope.message, content)
    _check_fields(envelope, content)
    _check_justifications(content)
    if content.msg_type == QBFTMessageType.PROPOSAL:
        leader = envelope.fork.leader(envelope.committee.operator_ids, content.height, content.round)
        if envelope.message.operator_ids[0] != leader:
            raise RuleBrokenError(
                Rule.NOT_THE_LEADER, f"proposal of operator {envelope.message.operator_ids[0]}, expected {leader}"
            )


def check_consensus_in_time(envelope: Envelope, content: QBFTMessage, moment: Moment) -> None:
    """Rules 30 to 35: what the peer has already sent, and the clock. Raises RuleBrokenError."""
    _check_seen(envelope, content, moment)
    if len(envelope.message.operator_ids) == 1:
        check_round_is_near(content.round, content.height, moment)
    if not envelope.of_committee:
        check_no_later_slot(envelope, content.height, moment)
        check_duty_known(envelope, content.height, moment)
    check_time(content.height, envelope.role_rules.late_slots, moment)
    check_duty_count(envelope, content.height, moment)


def record_consensus(envelope: Envelope, content: QBFTMessage, moment: Moment) -> None:
    """Rule 37."""
    carries_proposal = content.msg_type == QBFTMessageType.PROPOSAL and envelope.message.full_data
    views = [(moment.state, moment.peer)]
    if moment.shared is not None:
        views.append((moment.shared, b""))
    for state, peer in views:
        state.record_consensus(
            peer,
            envelope.executor,
            content.height,
            envelope.message.operator_ids,
            content.round,
            content.msg_type,
            content.root if carries_proposal else None,
        )


def _check_signer_count(envelope: Envelope, content: QBFTMessage) -> None:
    count = len(envelope.message.operator_ids)
    if count == 1:
        return
    if content.msg_type != QBFTMessageType.COMMIT:
        raise RuleBrokenError(
            Rule.SEVERAL_SIGNERS_NO_COMMIT, f"{count} signers of a message of type {content.msg_type}, expected 1"
        )
    if count < envelope.committee.quorum:
        raise RuleBrokenError(
            Rule.DECIDED_WITHOUT_QUORUM, f"{count} signers, expected 1 or at least {envelope.committee.quorum}"
        )


def _check_full_data(message: SignedSSVMessage, content: QBFTMessage) -> None:
    if not message.full_data:
        return
    single_commit = content.msg_type == QBFTMessageType.COMMIT and len(message.operator_ids) == 1
    if content.msg_type == QBFTMessageType.PREPARE or single_commit:
        raise RuleBrokenError(
            Rule.UNEXPECTED_FULL_DATA,
            f"{len(message.full_data)} bytes of full data in a message of type {content.msg_type}, expected none",
        )
    if sha256(message.full_data).digest() != content.root:
        raise RuleBrokenError(Rule.FULL_DATA_HASH, "the root is not the hash of the full data")


def _check_fields(envelope: Envelope, content: QBFTMessage) -> None:
    if content.msg_type > QBFTMessageType.ROUND_CHANGE:
        raise RuleBrokenError(Rule.CONSENSUS_TYPE, f"consensus message type is {content.msg_type}, expected 0 to 3")
    if content.round == 0:
        raise RuleBrokenError(Rule.ZERO_ROUND, "round is 0, expected 1 or more")
    max_round = envelope.role_rules.max_round
    if max_round is None:
        raise RuleBrokenError(Rule.ROLE_WITHOUT_CONSENSUS, f"role {envelope.role.name} has no consensus")
    if content.round > max_round:
        raise RuleBrokenError(Rule.ROUND_TOO_HIGH, f"round is {content.round}, expected at most {max_round}")
    if content.identifier != envelope.message.ssv_message.msg_id:
        raise RuleBrokenError(Rule.WRONG_IDENTIFIER, "the consensus message's identifier is not the message id")


def _check_justifications(content: QBFTMessage) -> None:
    if content.prepare_justification:
        try:
            content.decoded_prepares()
        except ProtocolError as error:
            raise RuleBrokenError(Rule.PREPARE_JUSTIFICATION_UNDECODABLE, str(error)) from error
        if content.msg_type != QBFTMessageType.PROPOSAL:
            raise RuleBrokenError(
                Rule.UNEXPECTED_PREPARE_JUSTIFICATION,
                f"prepare justifications in a message of type {content.msg_type}, expected them in proposals only",
            )
    if content.round_change_justification:
        try:
            content.decoded_round_changes()
        except ProtocolError as error:
            raise RuleBrokenError(Rule.ROUND_CHANGE_JUSTIFICATION_UNDECODABLE, str(error)) from error
        if content.msg_type not in (QBFTMessageType.PROPOSAL, QBFTMessageType.ROUND_CHANGE):
            raise RuleBrokenError(
                Rule.UNEXPECTED_ROUND_CHANGE_JUSTIFICATION,
                f"round change justifications in a message of type {content.msg_type}, "
                "expected them in proposals and round changes only",
            )


def _check_seen(envelope: Envelope, content: QBFTMessage, moment: Moment) -> None:
    """Rule 30."""
    signers = envelope.message.operator_ids
    record = moment.state.find(moment.peer, envelope.executor, content.height)
    if moment.shared is not None:
        shared = moment.shared.find(b"", envelope.executor, content.height)
        if len(signers) > 1:
            _check_more_signers(signers, shared)
        else:
            _check_single(envelope, content, record)
            _check_not_by_other(content, signers[0], shared)
    elif len(signers) > 1:
        _check_decided(content, signers, record)
    else:
        _check_single(envelope, content, record)


def _check_decided(content: QBFTMessage, signers: tuple[OperatorId, ...], record: SlotRecord | None) -> None:
    if record is None:
        return
    if (content.round, signers) in record.decided:
        raise RuleBrokenError(Rule.REPEATED_DECIDED, f"decided message of {signers} was seen before")
    if len(record.decided) >= MAX_DECIDED:
        raise RuleBrokenError(Rule.TOO_MANY_DECIDED, f"{MAX_DECIDED} decided messages were seen before")


def _check_more_signers(signers: tuple[OperatorId, ...], shared: SlotRecord | None) -> None:
    most = max((len(seen) for _, seen in shared.decided), default=0) if shared is not None else 0
    if len(signers) <= most:
        raise RuleBrokenError(
            Rule.NOT_MORE_SIGNERS, f"decided message of {len(signers)} signers, expected more than {most}"
        )


def _check_single(envelope: Envelope, content: QBFTMessage, record: SlotRecord | None) -> None:
    signer = envelope.message.operator_ids[0]
    seen = None if record is None else record.signers.get(signer)
    if seen is None:
        return
    if content.round < seen.round:
        raise RuleBrokenError(
            Rule.PAST_ROUND, f"round is {content.round}, expected at least {seen.round} of operator {signer}"
        )
    if content.round > seen.round:
        return
    if envelope.message.full_data and seen.proposal_root is not None and content.root != seen.proposal_root:
        raise RuleBrokenError(
            Rule.OTHER_PROPOSAL, f"operator {signer} proposed another value in round {content.round} before"
        )
    if seen.types >> content.msg_type & 1:
        raise RuleBrokenError(
            Rule.REPEATED_TYPE,
            f"operator {signer} sent a message of type {content.msg_type} in round {content.round} before",
        )


def _check_not_by_other(content: QBFTMessage, signer: OperatorId, shared: SlotRecord | None) -> None:
    """Boole: what another peer has passed on is not passed on again, which is nobody's fault."""
    seen = None if shared is None else shared.signers.get(signer)
    if seen is None or content.round > seen.round:
        return
    if content.round < seen.round or seen.types >> content.msg_type & 1:
        raise RuleBrokenError(
            Rule.REPEATED_BY_OTHER,
            f"operator {signer} sent a message of type {content.msg_type} in round {content.round} or a later one "
            "before, by another peer",
        )
