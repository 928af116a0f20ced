"""Messages that came before they could be used: kept until their duty has moved on.

Other operators are a little ahead or behind. What they send a moment too early is valid; to throw it away would cost a
round. Everything here is bounded, because it is kept before it can be judged.
"""

from collections import Counter
from dataclasses import dataclass

from ssv_pool.protocol.qbft import ProcessingMessage
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import OperatorId, Slot
from ssv_pool.protocol.types.roles import QBFTMessageType, RunnerRole

MAX_MESSAGES_PER_SENDER = 32
"""Messages kept of one duty and one set of signers: a duty has twelve rounds at most, with few messages a round."""

MAX_BYTES_PER_SENDER = 1 << 20
"""Bytes kept of one duty and one set of signers; the longest partial signature message has a quarter of that."""

MAX_DECIDED_PER_DUTY = 8
"""Decided messages kept of one duty, whoever signed them: one valid one is enough."""

Where = tuple[RunnerRole, Slot]
"""Which runner of a committee a message is for."""

_ORDER = {
    QBFTMessageType.PROPOSAL: 1,
    QBFTMessageType.PREPARE: 2,
    QBFTMessageType.COMMIT: 3,
    QBFTMessageType.ROUND_CHANGE: 4,
}
_LAST = 9


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with its decoded content and where it belongs; its signatures are verified."""

    where: Where
    """The runner it is for."""
    message: SignedSSVMessage
    """The message."""
    content: ProcessingMessage | PartialSignatureMessages
    """What is in it."""

    @property
    def order(self) -> tuple[int, int]:
        """What is offered first: decided messages, then consensus by round and step, then partial signatures."""
        if isinstance(self.content, PartialSignatureMessages):
            return _LAST, 0
        content = self.content.content
        if content.msg_type == QBFTMessageType.COMMIT and len(self.message.operator_ids) > 1:
            return 0, content.round
        return 1, content.round * len(_ORDER) + _ORDER.get(QBFTMessageType(content.msg_type), _LAST)

    @property
    def size(self) -> int:
        """About how much memory it holds, in bytes."""
        return len(self.message.ssv_message.data) + len(self.message.full_data)


class EarlyMessages:
    """The early messages of a committee, by duty."""

    __slots__ = ("_bytes", "_counts", "_messages")

    def __init__(self) -> None:
        self._messages: dict[Where, list[Delivery]] = {}
        self._counts: dict[Where, Counter[tuple[OperatorId, ...]]] = {}
        self._bytes: dict[Where, Counter[tuple[OperatorId, ...]]] = {}

    def keep(self, delivery: Delivery) -> bool:
        """Keep a message; False where its sender has too many already."""
        where = delivery.where
        signers = delivery.message.operator_ids
        # Several signers: one bucket for all combinations, or their number would multiply the bound.
        sender = signers if len(signers) == 1 else ()
        counts = self._counts.setdefault(where, Counter())
        sizes = self._bytes.setdefault(where, Counter())
        limit = MAX_MESSAGES_PER_SENDER if sender else MAX_DECIDED_PER_DUTY
        if counts[sender] >= limit or sizes[sender] + delivery.size > MAX_BYTES_PER_SENDER:
            return False
        counts[sender] += 1
        sizes[sender] += delivery.size
        self._messages.setdefault(where, []).append(delivery)
        return True

    def take(self, where: Where) -> list[Delivery]:
        """Take out all of one duty, in the order in which they are best offered."""
        deliveries = self._messages.get(where, [])
        self.forget(where)
        return sorted(deliveries, key=lambda delivery: delivery.order)

    def forget(self, where: Where) -> None:
        """Drop all of one duty."""
        for table in (self._messages, self._counts, self._bytes):
            table.pop(where, None)

    def forget_before(self, slot: int) -> None:
        """Drop all of the duties before a slot."""
        for where in [where for where in self._counts if where[1] < slot]:
            self.forget(where)

    def __len__(self) -> int:
        return sum(len(deliveries) for deliveries in self._messages.values())
