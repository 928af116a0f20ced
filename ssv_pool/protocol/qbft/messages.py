"""How the four kinds of QBFT messages are made (PROTOCOL: message construction)."""

from collections.abc import Iterable

from ssv_pool.protocol.qbft.containers import distinct_signers, hash_value
from ssv_pool.protocol.qbft.context import NO_ROUND, Context
from ssv_pool.protocol.qbft.justification import is_valid_prepare
from ssv_pool.protocol.qbft.prepared import Prepared
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


def create_round_change(
    context: Context, state: InstanceState, round_: Round, adopted: Prepared | None = None
) -> SignedSSVMessage:
    """A wish for ``round_``: carries the value prepared last, and the prepares that prove it where there are enough.

    Args:
        context: the committee.
        state: the instance's state.
        round_: the round to ask for.
        adopted: what another operator proved to be prepared; used where it was prepared later than what was here.
    """
    prepared = _own_prepared(context, state)
    if prepared is None or (adopted is not None and adopted.round > prepared.round):
        prepared = adopted
    content = QBFTMessage(
        msg_type=QBFTMessageType.ROUND_CHANGE,
        height=state.height,
        round=round_,
        identifier=context.identifier,
        root=EMPTY_ROOT if prepared is None else hash_value(prepared.value),
        data_round=NO_ROUND if prepared is None else prepared.round,
        round_change_justification=() if prepared is None else _encode_all(item.signed for item in prepared.prepares),
    )
    return sign(context, content, b"" if prepared is None else prepared.value)


def _own_prepared(context: Context, state: InstanceState) -> Prepared | None:
    value, round_ = state.last_prepared_value, state.last_prepared_round
    if value is None or round_ == NO_ROUND:
        return None
    root = hash_value(value)
    prepares = tuple(
        message
        for message in state.prepares.of_round(round_)
        if is_valid_prepare(context, message, state.height, round_, root)
    )
    return Prepared(round_, value, prepares if distinct_signers(prepares) >= context.quorum else ())
