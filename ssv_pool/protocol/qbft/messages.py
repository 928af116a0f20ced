"""How the four kinds of QBFT messages are made (PROTOCOL: message construction)."""

from collections.abc import Iterable

from ssv_pool.protocol.qbft.containers import ProcessingMessage, distinct_signers, hash_value
from ssv_pool.protocol.qbft.context import NO_ROUND, Context
from ssv_pool.protocol.qbft.justification import is_valid_prepare
from ssv_pool.protocol.qbft.state import InstanceState
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.primitives import Root, Round
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType

EMPTY_ROOT = Root(bytes(32))
"""The root of a round change by an operator that has prepared nothing."""


def _encode_all(messages: Iterable[SignedSSVMessage]) -> tuple[bytes, ...]:
    return tuple(message.without_full_data().encode() for message in messages)


def sign(context: Context, content: QBFTMessage, full_data: bytes = b"") -> SignedSSVMessage:
    """Wrap a QBFT message and sign it with this operator's key."""
    message = SSVMessage(MsgType.CONSENSUS, context.identifier, content.encode())
    return SignedSSVMessage(
        signatures=(context.keys.sign(message.encode()),),
        operator_ids=(context.member.operator_id,),
        ssv_message=message,
        full_data=full_data,
    )


def create_proposal(
    context: Context,
    state: InstanceState,
    value: bytes,
    round_changes: Iterable[SignedSSVMessage],
    prepares: Iterable[SignedSSVMessage],
) -> SignedSSVMessage:
    """A proposal of ``value`` for the state's round, with the round changes and prepares that justify it."""
    content = QBFTMessage(
        msg_type=QBFTMessageType.PROPOSAL,
        height=state.height,
        round=state.round,
        identifier=context.identifier,
        root=hash_value(value),
        round_change_justification=_encode_all(round_changes),
        prepare_justification=_encode_all(prepares),
    )
    return sign(context, content, value)


def create_prepare(context: Context, state: InstanceState, round_: Round, root: Root) -> SignedSSVMessage:
    """A prepare for a proposal's root."""
    content = QBFTMessage(
        msg_type=QBFTMessageType.PREPARE,
        height=state.height,
        round=round_,
        identifier=context.identifier,
        root=root,
    )
    return sign(context, content)


def create_commit(context: Context, state: InstanceState, root: Root) -> SignedSSVMessage:
    """A commit to a prepared root."""
    content = QBFTMessage(
        msg_type=QBFTMessageType.COMMIT,
        height=state.height,
        round=state.round,
        identifier=context.identifier,
        root=root,
    )
    return sign(context, content)


def create_round_change(context: Context, state: InstanceState, round_: Round) -> SignedSSVMessage:
    """A wish for ``round_``: carries the last prepared value, and the prepares that prove it where there are enough."""
    value = state.last_prepared_value
    prepared = state.last_prepared_round != NO_ROUND and value is not None
    justification: list[ProcessingMessage] = []
    root = EMPTY_ROOT
    if prepared and value is not None:
        root = hash_value(value)
        justification = [
            message
            for message in state.prepares.of_round(state.last_prepared_round)
            if is_valid_prepare(context, message, state.height, state.last_prepared_round, root)
        ]
        if distinct_signers(justification) < context.quorum:
            justification = []
    content = QBFTMessage(
        msg_type=QBFTMessageType.ROUND_CHANGE,
        height=state.height,
        round=round_,
        identifier=context.identifier,
        root=root,
        data_round=state.last_prepared_round if prepared else NO_ROUND,
        round_change_justification=_encode_all(message.signed for message in justification),
    )
    return sign(context, content, value if prepared and value is not None else b"")
