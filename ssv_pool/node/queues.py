"""One bounded queue a committee: what is most urgent comes out first, and what does not fit is counted, not kept."""

import enum
import heapq
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import trio

from ssv_pool.protocol.events import MessageReceived, TimerKey, TimerKind
from ssv_pool.protocol.types.ids import message_role
from ssv_pool.protocol.types.messages import QBFTMessage
from ssv_pool.protocol.types.primitives import MessageId
from ssv_pool.protocol.types.roles import QBFTMessageType, RunnerRole

CAPACITY = 4096
"""Messages a committee may have waiting. A duty of 13 operators makes about 40."""


class Priority(enum.IntEnum):
    """What comes first."""

    PROPOSING = 0
    """What a block's proposal waits for, which has seconds and most to lose; and answers of the beacon node."""
    OWN = 1
    """Own duties and changes of the registry."""
    URGENT = 2
    """Consensus proposals and decided messages: everything else of their duty waits for them."""
    ATTESTING = 3
    """All else of attestations and sync committee messages: one duty a slot, and most of what validators earn."""
    CONSENSUS = 4
    """All other messages of consensus, and its timers between them: a round that the messages that wait here would
    decide must not be given up, or a node that is behind falls behind for good."""
    SIGNATURES = 5
    """Other partial signatures, and the rebuilding of whole ones: much work, and no round waits for it."""


T = TypeVar("T")


class Entry(NamedTuple, Generic[T]):
    """One event in a queue; a plain tuple, whose order costs little: no two have one number."""

    priority: int
    number: int
    """Order of arrival."""
    event: T


class CommitteeQueue(Generic[T]):
    """Events of one committee by priority, in order of arrival within one."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._heap: list[Entry[T]] = []
        self._numbers = itertools.count()
        self._waiting = trio.Event()

    def put(self, event: T, priority: Priority) -> None:
        """Add an event of this process; it is never dropped."""
        heapq.heappush(self._heap, Entry(int(priority), next(self._numbers), event))
        self._waiting.set()

    def offer(self, event: T, priority: Priority) -> bool:
        """Add an event from outside; False when the queue is full and the event was dropped."""
        if len(self._heap) >= self._capacity:
            return False
        self.put(event, priority)
        return True

    async def wait(self) -> None:
        """Wait until there is an event."""
        while not self._heap:
            self._waiting = trio.Event()
            await self._waiting.wait()

    @property
    def urgency(self) -> int:
        """Priority of the most urgent event; lower than any when there is none."""
        return self._heap[0].priority if self._heap else len(Priority)

    def take(self, most: int) -> list[Entry[T]]:
        """The most urgent events, in their order, ``most`` at most."""
        return [heapq.heappop(self._heap) for _ in range(min(most, len(self._heap)))]

    def put_back(self, entries: Sequence[Entry[T]]) -> None:
        """Return what was taken and not done yet to its place."""
        for entry in entries:
            heapq.heappush(self._heap, entry)

    def __len__(self) -> int:
        return len(self._heap)


class Turns:
    """Lets one committee at a time go on: the one whose queue has the most urgent event when the turn is free.

    Among equals it is who waits longest.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: dict[CommitteeQueue[Any], trio.Event] = {}

    @asynccontextmanager
    async def turn(self, queue: CommitteeQueue[Any]) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the block runs. A queue may wait once at a time."""
        if self._taken:
            granted = self._waiting[queue] = trio.Event()
            try:
                await granted.wait()
            except trio.Cancelled:
                if self._waiting.pop(queue, None) is None:
                    self._pass_on()
                raise
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        if not self._waiting:
            self._taken = False
            return
        # The first of the smallest: a dictionary keeps the order of arrival.
        chosen = min(self._waiting, key=lambda queue: queue.urgency)
        self._waiting.pop(chosen).set()


def message_priority(event: MessageReceived, content: object) -> Priority:
    """How urgent a message is.

    Args:
        event: the message.
        content: its decoded content.
    """
    urgent = False
    if isinstance(content, QBFTMessage):
        decided = content.msg_type == QBFTMessageType.COMMIT and len(event.message.operator_ids) > 1
        urgent = decided or content.msg_type == QBFTMessageType.PROPOSAL
    last = Priority.CONSENSUS if isinstance(content, QBFTMessage) else Priority.SIGNATURES
    return _of_role(event.message.ssv_message.msg_id, Priority.URGENT if urgent else last)


def timer_priority(timer: TimerKey) -> Priority:
    """How urgent a timer is that has run out."""
    rebuilds = timer.kind is TimerKind.CONTINUE
    return _of_role(timer.identifier, Priority.SIGNATURES if rebuilds else Priority.CONSENSUS)


def _of_role(message_id: MessageId, otherwise: Priority) -> Priority:
    role = message_role(message_id)
    if role == RunnerRole.PROPOSER:
        return Priority.PROPOSING
    return min(Priority.ATTESTING, otherwise) if role == RunnerRole.COMMITTEE else otherwise
