"""Runs the committees: events into the core, effects out of it.

One task a committee takes events from its queue and handles them one after the other on a thread, so that a committee
of 500 validators that signs does not hold up the event loop. One thread works at a time: signatures hold the
interpreter lock anyhow.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from ssv_pool.node.queues import OWN, CommitteeQueue, message_priority
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    ArmTimer,
    Broadcast,
    DutyEnded,
    DutyRecord,
    Effect,
    Event,
    MessageReceived,
    Rejected,
    StartDuty,
    SubmitAttestations,
    TimerFired,
)
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, ValidatorIndex
from ssv_pool.protocol.types.share import CommitteeMember, Share

log = logger("node.dispatcher")

Publish = Callable[[CommitteeId, SignedSSVMessage], Awaitable[None]]
"""Sends a message to the committee's topic."""


@dataclass(frozen=True, slots=True)
class Update:
    """The registry changed what a committee has; waits its turn like an event."""

    member: CommitteeMember
    shares: Mapping[ValidatorIndex, Share]


class Dispatcher:
    """Owns the committees' queues and tasks."""

    def __init__(
        self,
        publish: Publish,
        submit: Callable[[SubmitAttestations], None],
        ended: Callable[[DutyRecord], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a dispatcher.

        Args:
            publish: sends a message to the committee's topic.
            submit: hands attestations to the workers; must not block.
            ended: notes how a duty ended; must not block.
            clock: the wall clock, seconds since the UNIX epoch.
        """
        self._publish = publish
        self._submit = submit
        self._ended = ended
        self._clock = clock
        self._committees: dict[CommitteeId, Committee] = {}
        self._queues: dict[CommitteeId, CommitteeQueue[Event | Update]] = {}
        self._scopes: dict[CommitteeId, trio.CancelScope] = {}
        self._running: set[str] = set()
        self._idle = trio.Event()
        self._idle.set()
        self._nursery: trio.Nursery | None = None
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def set_committees(self, committees: Mapping[CommitteeId, Committee]) -> None:
        """Run exactly these committees: new ones start, those not named end, the others go on as they are."""
        if self._nursery is None:
            raise RuntimeError("the dispatcher does not run yet")
        for gone in self._committees.keys() - committees.keys():
            self._scopes.pop(gone).cancel()
            del self._committees[gone], self._queues[gone]
        for committee_id, committee in committees.items():
            if committee_id not in self._committees:
                self._committees[committee_id] = committee
                self._queues[committee_id] = CommitteeQueue()
                self._scopes[committee_id] = trio.CancelScope()
                self._nursery.start_soon(self._run_committee, committee_id)

    def update(
        self, committee_id: CommitteeId, member: CommitteeMember, shares: Mapping[ValidatorIndex, Share]
    ) -> None:
        """Give a committee its present operators and shares; running duties go on."""
        self._queues[committee_id].put(Update(member, shares), OWN)

    def start(self, committee_id: CommitteeId, duty: StartDuty) -> bool:
        """Begin a duty; False when the committee is not run here."""
        if committee_id not in self._queues:
            return False
        self._queues[committee_id].put(duty, OWN)
        return True

    def receive(self, committee_id: CommitteeId, event: MessageReceived, content: object) -> None:
        """Take a message of a committee in; one for a committee that is not run here is ignored."""
        queue = self._queues.get(committee_id)
        if queue is not None and not queue.put(event, message_priority(event, content)):
            metrics.QUEUE_DROPPED.inc()

    @property
    def running(self) -> frozenset[str]:
        """Keys of the duties that have begun and not ended."""
        return frozenset(self._running)

    async def wait_idle(self) -> None:
        """Wait until no duty runs."""
        await self._idle.wait()

    async def _run_committee(self, committee_id: CommitteeId) -> None:
        queue, committee = self._queues[committee_id], self._committees[committee_id]
        with self._scopes[committee_id]:
            while True:
                event = await queue.get()
                if isinstance(event, StartDuty):
                    self._note_running(event.key)
                effects = await trio.to_thread.run_sync(self._handle, committee, event, limiter=self._limiter)
                for effect in effects:
                    await self._perform(committee_id, effect)

    def _handle(self, committee: Committee, event: Event | Update) -> list[Effect]:
        if isinstance(event, Update):
            return committee.update(event.member, event.shares)
        return committee.handle(event, self._clock())

    async def _perform(self, committee_id: CommitteeId, effect: Effect) -> None:
        match effect:
            case Broadcast(message=message):
                await self._publish(committee_id, message)
            case ArmTimer():
                if self._nursery is not None:
                    self._nursery.start_soon(self._run_timer, committee_id, effect)
            case SubmitAttestations():
                self._submit(effect)
            case DutyEnded(record=record):
                self._running.discard(record.key)
                if not self._running:
                    self._idle.set()
                self._ended(record)
            case Rejected():
                log.debug("refused", rule=effect.rule, detail=effect.detail, operators=effect.operators)
            case _:
                log.error("effect without a handler", effect=type(effect).__name__)

    def _note_running(self, key: str) -> None:
        if key and key not in self._running:
            self._running.add(key)
            self._idle = trio.Event()

    async def _run_timer(self, committee_id: CommitteeId, armed: ArmTimer) -> None:
        await trio.sleep(max(0.0, armed.at - self._clock()))
        queue = self._queues.get(committee_id)
        if queue is not None:
            queue.put(TimerFired(armed.timer), OWN)
