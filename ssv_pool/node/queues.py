"""One bounded queue a committee: what is most urgent comes out first, and what does not fit is counted, not kept."""

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

from ssv_pool.protocol.events import MessageReceived
from ssv_pool.protocol.types.messages import QBFTMessage
from ssv_pool.protocol.types.roles import QBFTMessageType

CAPACITY = 4096
"""Events a committee may have waiting. A duty of 13 operators makes about 40 messages."""

OWN = 0
"""Own duties and timers: they come from this process and are never dropped."""

URGENT = 1
"""Proposals and decided messages: everything else of their duty waits for them."""

ORDINARY = 2
"""All other messages."""


T = TypeVar("T")


@dataclass(order=True, slots=True)
class _Entry(Generic[T]):
    priority: int
    number: int
    event: T = field(compare=False)


class CommitteeQueue(Generic[T]):
    """Events of one committee by priority, in order of arrival within one."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._heap: list[_Entry[T]] = []
        self._numbers = itertools.count()
        self._waiting = trio.Event()

    def put(self, event: T, priority: int) -> bool:
        """Add an event; False when the queue is full and the event was dropped."""
        if priority != OWN and len(self._heap) >= self._capacity:
            return False
        heapq.heappush(self._heap, _Entry(priority, next(self._numbers), event))
        self._waiting.set()
        return True

    async def get(self) -> T:
        """The most urgent event; waits for one."""
        while not self._heap:
            self._waiting = trio.Event()
            await self._waiting.wait()
        return heapq.heappop(self._heap).event

    def __len__(self) -> int:
        return len(self._heap)


def message_priority(event: MessageReceived, content: object) -> int:
    """How urgent a message is.

    Args:
        event: the message.
        content: its decoded content.
    """
    if isinstance(content, QBFTMessage):
        decided = content.msg_type == QBFTMessageType.COMMIT and len(event.message.operator_ids) > 1
        if decided or content.msg_type == QBFTMessageType.PROPOSAL:
            return URGENT
    return ORDINARY
