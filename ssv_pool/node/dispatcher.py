"""Runs the committees: events into the core, effects out of it.

One task a committee takes events from its queue and handles them one after the other on a thread, so that a committee
of 500 validators that signs does not hold up the event loop. One thread works at a time: signatures hold the
interpreter lock anyhow.

An event that the core fails on is a bug or a broken disk: it is logged and counted, and everything else goes on.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from ssv_pool.node.queues import OWN, CommitteeQueue, message_priority
from ssv_pool.node.registry import OwnCommittee
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
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


class Core(Protocol):
    """What is asked of a committee (`ssv_pool.protocol.committee.Committee`)."""

    @property
    def runners(self) -> Mapping[Any, object]:
        """The duties that run."""
        ...

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event at ``now``, seconds since the UNIX epoch."""
        ...

    def update(
        self, member: CommitteeMember, shares: Mapping[ValidatorIndex, Share], chain: BeaconChain | None = None
    ) -> list[Effect]:
        """The registry or the beacon chain's constants changed."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Where effects go."""

    publish: Callable[[OwnCommittee, SignedSSVMessage], Awaitable[None]]
    """Sends a message to the committee's topic."""
    submit: Callable[[SubmitAttestations], None]
    """Hands attestations to the workers; must not block."""
    ended: Callable[[DutyRecord], None]
    """Notes how a duty ended; must not block."""


@dataclass(frozen=True, slots=True)
class _Update:
    """The registry changed what a committee has; waits its turn like an event."""

    own: OwnCommittee
    chain: BeaconChain
    leaving: bool
    """Whether the committee ends with this."""
    done: trio.Event


@dataclass(eq=False, slots=True)
class _Lane:
    """One committee with its queue."""

    own: OwnCommittee
    core: Core
    queue: CommitteeQueue[Event | _Update] = field(default_factory=CommitteeQueue)
    starting: int = 0
    """Duties handed over that the core has not taken yet."""
    running: int = 0
    """Duties that the core runs."""


class Dispatcher:
    """Owns the committees' queues and tasks."""

    def __init__(
        self,
        ports: Ports,
        make: Callable[[OwnCommittee, BeaconChain], Core],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a dispatcher.

        Args:
            ports: where effects go.
            make: makes the core of a committee that is new.
            clock: the wall clock, seconds since the UNIX epoch.
        """
        self._ports = ports
        self._make = make
        self._clock = clock
        self._chain: BeaconChain | None = None
        self._lanes: dict[CommitteeId, _Lane] = {}
        self._leaving: set[_Lane] = set()
        self._idle = trio.lowlevel.ParkingLot()
        self._nursery: trio.Nursery | None = None
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def set_committees(self, committees: Mapping[CommitteeId, OwnCommittee], chain: BeaconChain) -> None:
        """Run exactly these committees: new ones start, those not named end, the others get what changed.

        Returns when no committee uses what is not in ``committees`` any more. Running duties go on without the
        validators that are gone.
        """
        if self._nursery is None:
            raise RuntimeError("the dispatcher does not run yet")
        updates: list[trio.Event] = []
        for gone in self._lanes.keys() - committees.keys():
            lane = self._lanes.pop(gone)
            self._leaving.add(lane)
            updates.append(self._update(lane, OwnCommittee(lane.own.member, {}), chain, leaving=True))
        for committee_id, own in committees.items():
            known = self._lanes.get(committee_id)
            if known is None:
                self._lanes[committee_id] = _Lane(own, self._make(own, chain))
                self._nursery.start_soon(self._run_lane, self._lanes[committee_id])
            elif known.own != own or self._chain != chain:
                updates.append(self._update(known, own, chain, leaving=False))
        self._chain = chain
        for done in updates:
            await done.wait()

    def start(self, committee_id: CommitteeId, duty: StartDuty) -> bool:
        """Begin a duty; False when the committee is not run here."""
        lane = self._lanes.get(committee_id)
        if lane is None:
            return False
        lane.starting += 1
        lane.queue.put(duty, OWN)
        return True

    def receive(self, committee_id: CommitteeId, event: MessageReceived, content: object) -> None:
        """Take a message of a committee in; one for a committee that is not run here is ignored."""
        lane = self._lanes.get(committee_id)
        if lane is not None and not lane.queue.put(event, message_priority(event, content)):
            metrics.QUEUE_DROPPED.inc()

    @property
    def running(self) -> int:
        """How many duties have begun and not ended."""
        return sum(lane.starting + lane.running for lane in (*self._lanes.values(), *self._leaving))

    async def wait_idle(self) -> None:
        """Wait until no duty runs."""
        while self.running:
            await self._idle.park()

    def _update(self, lane: _Lane, own: OwnCommittee, chain: BeaconChain, *, leaving: bool) -> trio.Event:
        lane.own = own
        done = trio.Event()
        lane.queue.put(_Update(own, chain, leaving, done), OWN)
        return done

    async def _run_lane(self, lane: _Lane) -> None:
        async with trio.open_nursery() as timers:
            while True:
                event = await lane.queue.get()
                for effect in await self._handle(lane, event):
                    await self._perform(lane, effect, timers)
                lane.starting -= isinstance(event, StartDuty)
                lane.running = len(lane.core.runners)
                if isinstance(event, _Update):
                    event.done.set()
                    if event.leaving:
                        break
                if not self.running:
                    self._idle.unpark_all()
            timers.cancel_scope.cancel()
        self._leaving.discard(lane)
        if not self.running:
            self._idle.unpark_all()

    async def _handle(self, lane: _Lane, event: Event | _Update) -> list[Effect]:
        def handle() -> list[Effect]:
            if isinstance(event, _Update):
                return lane.core.update(event.own.member, event.own.shares, event.chain)
            return lane.core.handle(event, self._clock())

        try:
            return await trio.to_thread.run_sync(handle, limiter=self._limiter)
        except Exception:
            metrics.COMMITTEE_ERRORS.inc()
            log.exception("committee failed on an event", committee=_name(lane), kind=type(event).__name__)
            return []

    async def _perform(self, lane: _Lane, effect: Effect, timers: trio.Nursery) -> None:
        match effect:
            case Broadcast(message=message):
                await self._ports.publish(lane.own, message)
            case ArmTimer():
                timers.start_soon(self._run_timer, lane, effect)
            case SubmitAttestations():
                self._ports.submit(effect)
            case DutyEnded(record=record):
                self._ports.ended(record)
            case Rejected():
                log.debug("refused", rule=effect.rule, detail=effect.detail, operators=effect.operators)
            case _:
                log.error("effect without a handler", committee=_name(lane), effect=type(effect).__name__)

    async def _run_timer(self, lane: _Lane, armed: ArmTimer) -> None:
        await trio.sleep(max(0.0, armed.at - self._clock()))
        lane.queue.put(TimerFired(armed.timer), OWN)


def _name(lane: _Lane) -> str:
    return lane.own.member.committee_id.hex()
