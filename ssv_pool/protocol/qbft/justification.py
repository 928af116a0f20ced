"""The rules for each kind of message, and for what a proposal or a round change has to bring as proof.

All functions here only look. Each raises ProtocolError with the specification's code for the first rule that is broken,
in the specification's order, because of two broken rules the first one's code is reported.
"""

from collections.abc import Sequence

from ssv_pool.protocol.qbft.containers import ProcessingMessage, distinct_signers, hash_value
from ssv_pool.protocol.qbft.context import FIRST_ROUND, Context
from ssv_pool.protocol.qbft.state import InstanceState
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import Root, Round, Slot
from ssv_pool.protocol.types.roles import QBFTMessageType


def _check_height(message: ProcessingMessage, height: Slot) -> None:
    if message.content.height != height:
        raise ProtocolError(
            f"height {message.content.height}, expected the instance's {height}", ErrorCode.WRONG_MESSAGE_HEIGHT
        )


def _check_round(message: ProcessingMessage, round_: Round) -> None:
    if message.content.round != round_:
        raise ProtocolError(f"round {message.content.round}, expected {round_}", ErrorCode.WRONG_MESSAGE_ROUND)


def _check_one_signer(message: ProcessingMessage) -> None:
    if len(message.signers) != 1:
        raise ProtocolError(f"{len(message.signers)} signers, expected one", ErrorCode.MESSAGE_ALLOWS_ONE_SIGNER_ONLY)


def _check_committee(context: Context, message: ProcessingMessage) -> None:
    if not context.in_committee(message.signers):
        raise ProtocolError(
            f"signers {list(message.signers)} are not all in the committee", ErrorCode.SIGNER_IS_NOT_IN_COMMITTEE
        )


def _check_identifier(context: Context, message: ProcessingMessage) -> None:
    """What comes as proof may have been signed in another duty: operators sign for many at one height.

    The specification does not ask for this. Without it the round changes of another committee or role, which have
    prepared nothing there, would free a leader from what was prepared, or even decided, here.
    """
    if message.content.identifier != context.identifier:
        raise ProtocolError(
            f"identifier 0x{message.content.identifier.hex()}, expected 0x{context.identifier.hex()}",
            ErrorCode.MESSAGE_IDENTIFIER_INVALID,
        )


def _check_type(message: ProcessingMessage, wanted: QBFTMessageType) -> None:
    if message.content.msg_type != wanted:
        raise ProtocolError(f"message type {message.content.msg_type}, expected {wanted.name.lower()}")


def _check_proposed_root(message: ProcessingMessage, root: Root) -> None:
    if message.content.root != root:
        raise ProtocolError(
            f"root 0x{message.content.root.hex()}, expected 0x{root.hex()}", ErrorCode.PROPOSED_DATA_MISMATCH
        )


def _check_value_root(value: bytes, message: ProcessingMessage) -> None:
    if hash_value(value) != message.content.root:
        raise ProtocolError(
            f"root 0x{message.content.root.hex()} is not the hash of the full data", ErrorCode.ROOT_HASH_INVALID
        )


def check_prepare(context: Context, message: ProcessingMessage, height: Slot, round_: Round, root: Root) -> None:
    """Whether it is a prepare for (height, round, root); its RSA signature is not checked."""
    _check_type(message, QBFTMessageType.PREPARE)
    _check_height(message, height)
    _check_round(message, round_)
    message.validate()
    _check_proposed_root(message, root)
    _check_one_signer(message)
    _check_committee(context, message)
    _check_identifier(context, message)


def is_valid_prepare(context: Context, message: ProcessingMessage, height: Slot, round_: Round, root: Root) -> bool:
    """As ``check_prepare``, as a truth value."""
    try:
        check_prepare(context, message, height, round_, root)
    except ProtocolError:
        return False
    return True


def check_commit(context: Context, message: ProcessingMessage, height: Slot, round_: Round, root: Root) -> None:
    """Whether it is one operator's commit to (height, round, root)."""
    check_commit_base(context, message, height)
    _check_one_signer(message)
    _check_round(message, round_)
    _check_proposed_root(message, root)


def check_commit_base(context: Context, message: ProcessingMessage, height: Slot) -> None:
    """What holds for single commits and for decided messages."""
    try:
        message.validate()
    except ProtocolError as error:
        raise ProtocolError(f"invalid commit: {error}", ErrorCode.COMMIT_MESSAGE_INVALID) from error
    if message.content.msg_type != QBFTMessageType.COMMIT:
        raise ProtocolError(
            f"message type {message.content.msg_type}, expected commit", ErrorCode.COMMIT_MESSAGE_TYPE_WRONG
        )
    _check_height(message, height)
    _check_committee(context, message)


def check_decided(context: Context, message: ProcessingMessage, height: Slot) -> None:
    """Whether it is a decided message: commits of a quorum in one, with the value. The round may be any."""
    check_commit_base(context, message, height)
    context.verify(message.signed)
    _check_value_root(message.signed.full_data, message)


def check_round_change(
    context: Context, message: ProcessingMessage, height: Slot, round_: Round, full_data: bytes
) -> None:
    """Whether it is a round change for (height, round).

    Args:
        context: the committee.
        message: the round change; its own RSA signature is not checked, those of its prepares are.
        height: the instance's height.
        round_: the round it has to ask for.
        full_data: the value it claims to have prepared; only looked at where it claims so.
    """
    content = message.content
    _check_type(message, QBFTMessageType.ROUND_CHANGE)
    _check_height(message, height)
    _check_round(message, round_)
    _check_one_signer(message)
    message.validate()
    _check_committee(context, message)
    _check_identifier(context, message)
    if not message.is_prepared_round_change:
        return
    prepares = message.round_changes()
    for prepare in prepares:
        check_prepare(context, prepare, height, content.data_round, content.root)
        context.verify(prepare.signed)
    _check_value_root(full_data, message)
    if distinct_signers(prepares) < context.quorum:
        raise ProtocolError(
            f"{distinct_signers(prepares)} operators prepared, expected at least {context.quorum}",
            ErrorCode.JUSTIFICATIONS_NO_QUORUM_INVALID,
        )
    if content.data_round > round_:
        raise ProtocolError(f"prepared in round {content.data_round}, which is after round {round_}")


def check_proposal(context: Context, state: InstanceState, message: ProcessingMessage) -> None:
    """Whether a proposal may be accepted now."""
    content = message.content
    _check_height(message, state.height)
    _check_one_signer(message)
    _check_committee(context, message)
    leader = context.leader(state.height, content.round)
    if message.signers != (leader,):
        raise ProtocolError(
            f"operator {message.signers[0]} proposes in round {content.round}, expected its leader {leader}",
            ErrorCode.PROPOSAL_LEADER_INVALID,
        )
    try:
        message.validate()
    except ProtocolError as error:
        raise ProtocolError(f"invalid proposal: {error}", ErrorCode.PROPOSAL_INVALID) from error
    _check_value_root(message.signed.full_data, message)
    check_justification(
        context,
        round_changes=message.round_changes(),
        prepares=message.prepares(),
        height=state.height,
        round_=content.round,
        value=message.signed.full_data,
    )
    first_of_this_round = state.accepted_proposal is None and content.round == state.round
    if not (first_of_this_round or content.round > state.round):
        raise ProtocolError(
            f"a proposal of round {state.round} is accepted already; this is a second one", ErrorCode.PROPOSAL_INVALID
        )


def check_justification(
    context: Context,
    *,
    round_changes: Sequence[ProcessingMessage],
    prepares: Sequence[ProcessingMessage],
    height: Slot,
    round_: Round,
    value: bytes,
) -> None:
    """Whether ``value`` may be proposed in (height, round), with these messages as proof.

    After round 1 a quorum must have asked for the round; and if one of them had prepared a value, then the one that was
    prepared last must be proposed, with the prepares that prove it. A value that was decided was prepared by a
    quorum, and each quorum of round changes has an honest operator in common with that one: so no other value can be
    proposed after a decision.
    """
    context.check_value(value)
    if round_ == FIRST_ROUND:
        return
    for message in round_changes:
        check_round_change(context, message, height, round_, value)
        context.verify(message.signed)
    if distinct_signers(round_changes) < context.quorum:
        raise ProtocolError(
            f"{distinct_signers(round_changes)} operators asked for round {round_}, expected {context.quorum}",
            ErrorCode.ROUND_CHANGE_NO_QUORUM,
        )
    prepared = [message for message in round_changes if message.is_prepared_round_change]
    if not prepared:
        return
    if distinct_signers(prepares) < context.quorum:
        raise ProtocolError(f"prepares of {distinct_signers(prepares)} operators, expected {context.quorum}")
    highest = max(prepared, key=lambda message: message.content.data_round)
    if hash_value(value) != highest.content.root:
        raise ProtocolError(f"the value proposed is not the one prepared in round {highest.content.data_round}")
    for prepare in prepares:
        try:
            check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)
            context.verify(prepare.signed)
        except ProtocolError as error:
            raise ProtocolError(f"invalid prepare: {error}", ErrorCode.PREPARE_MESSAGE_INVALID) from error
