"""Runs the committees and their validators: events into the core, effects out of it.

One task a committee takes events from its queue and handles them one after the other on a thread, so that a committee
of 500 validators that signs does not hold up the event loop. One thread works at a time, as signatures hold the
interpreter lock anyhow, and the committee with the most urgent event has the next turn. A turn ends with the first
event that wants something done, so that a message leaves before the next event is looked at, or after a few
milliseconds: going to the thread and back costs as much as a small event, and most events only count a message.

An event that the core fails on is a bug or a broken disk: it is logged and counted, and everything else goes on.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from ssv_pool.messaging.commands import BeaconRequest, request_key
from ssv_pool.node.executors import Cores, Deed, Executors, Work
from ssv_pool.node.queues import CommitteeQueue, Entry, Priority, Turns, message_priority, timer_priority
from ssv_pool.node.registry import OwnCommittee
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import (
    ArmTimer,
    AskBeacon,
    AskKind,
    BeaconReply,
    Broadcast,
    DutyEnded,
    DutyRecord,
    MessageReceived,
    Rejected,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartEvent,
    StartValidatorDuty,
    SubmitEffect,
    TimerFired,
)
from ssv_pool.protocol.types.ids import committee_of, message_executor, message_role
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, PublicKey
from ssv_pool.protocol.types.roles import COMMITTEE_ROLES, BeaconRole

log = logger("node.dispatcher")

TURN_EVENTS = 16
"""Most events of one turn on the thread."""

TURN_SECONDS = 0.005
"""No further event is begun in a turn after so long."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where effects go."""

    publish: Callable[[OwnCommittee, SignedSSVMessage], Awaitable[None]]
    """Sends a message to the committee's topic."""
    submit: Callable[[SubmitEffect], None]
    """Hands something signed to the workers; must not block."""
    ask: Callable[[BeaconRequest], None]
    """Hands a request to the beacon node to the workers; must not block."""
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
    executors: Executors
    queue: CommitteeQueue[Work | _Update] = field(default_factory=CommitteeQueue)
    starting: int = 0
    """Duties handed over that the core has not taken yet."""
    running: int = 0
    """Duties that the core runs."""
    updating: int = 0
    """Changes of the registry that wait in the queue."""

    @property
    def committee_id(self) -> CommitteeId:
        return self.own.member.committee_id


@dataclass(slots=True)
class _Turn:
    """What a turn on the thread came to."""

    done: list[Work | _Update] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    running: int = 0


class Dispatcher:
    """Owns the committees' queues and tasks."""

    def __init__(self, ports: Ports, cores: Cores, clock: Callable[[], float] = time.time) -> None:
        """Make a dispatcher.

        Args:
            ports: where effects go.
            cores: makes the cores of committees that are new, and of their validators.
            clock: the wall clock, seconds since the UNIX epoch.
        """
        self._ports = ports
        self._cores = cores
        self._clock = clock
        self._chain: BeaconChain | None = None
        self._lanes: dict[CommitteeId, _Lane] = {}
        self._by_validator: dict[PublicKey, _Lane] = {}
        self._leaving: set[_Lane] = set()
        self._idle = trio.lowlevel.ParkingLot()
        self._nursery: trio.Nursery | None = None
        self._limiter = trio.CapacityLimiter(1)
        self._turns = Turns()

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
                self._lanes[committee_id] = _Lane(own, Executors(own, chain, self._cores))
                self._nursery.start_soon(self._run_lane, self._lanes[committee_id])
            elif known.own != own or self._chain != chain:
                updates.append(self._update(known, own, chain, leaving=False))
        self._chain = chain
        self._by_validator = {
            share.validator_pubkey: lane for lane in self._lanes.values() for share in lane.own.shares.values()
        }
        for done in updates:
            await done.wait()

    def start(self, committee_id: CommitteeId, event: StartEvent) -> bool:
        """Begin a duty; False when the committee or validator is not run here."""
        validator = event.duty.pubkey if isinstance(event, StartValidatorDuty) else None
        lane = self._lane(committee_id, validator)
        if lane is None:
            return False
        lane.starting += 1
        proposes = isinstance(event, StartValidatorDuty) and event.duty.type == BeaconRole.PROPOSER
        # Behind a change of the registry that waits: the validator may come with it.
        ahead = proposes and not lane.updating
        lane.queue.put(Work(validator, event), Priority.PROPOSING if ahead else Priority.OWN)
        return True

    def reply(self, committee_id: CommitteeId, validator: PublicKey | None, reply: BeaconReply) -> bool:
        """Hand over an answer of the beacon node; False when the committee or validator is not run here.

        Args:
            committee_id: the committee that asked.
            validator: the validator that asked; None: the committee as a whole.
            reply: the answer.
        """
        lane = self._lane(committee_id, validator)
        if lane is None:
            return False
        lane.queue.put(Work(validator, reply), Priority.PROPOSING)
        return True

    def receive(self, event: MessageReceived, content: object) -> None:
        """Take a message of a committee or validator in; one of what is not run here is ignored."""
        message_id = event.message.ssv_message.msg_id
        validator: PublicKey | None = None
        if message_role(message_id) in COMMITTEE_ROLES:
            lane = self._lanes.get(committee_of(message_id))
        else:
            validator = PublicKey(message_executor(message_id))
            lane = self._by_validator.get(validator)
        if lane is not None and not lane.queue.offer(Work(validator, event), message_priority(event, content)):
            metrics.QUEUE_DROPPED.inc()

    @property
    def running(self) -> int:
        """How many duties have begun and not ended."""
        return sum(lane.starting + lane.running for lane in (*self._lanes.values(), *self._leaving))

    async def wait_idle(self) -> None:
        """Wait until no duty runs."""
        while self.running:
            await self._idle.park()

    def _lane(self, committee_id: CommitteeId, validator: PublicKey | None) -> _Lane | None:
        lane = self._lanes.get(committee_id)
        if validator is None or lane is self._by_validator.get(validator):
            return lane
        return None

    def _update(self, lane: _Lane, own: OwnCommittee, chain: BeaconChain, *, leaving: bool) -> trio.Event:
        lane.own = own
        lane.updating += 1
        done = trio.Event()
        # As starts: what was begun before is begun, and what is begun after has what it needs.
        lane.queue.put(_Update(own, chain, leaving, done), Priority.OWN)
        return done

    async def _run_lane(self, lane: _Lane) -> None:
        async with trio.open_nursery() as timers:
            leaving = False
            while not leaving:
                await lane.queue.wait()
                async with self._turns.turn(lane.queue):
                    entries = lane.queue.take(TURN_EVENTS)
                    turn = await trio.to_thread.run_sync(self._take_turn, lane, entries, limiter=self._limiter)
                lane.queue.put_back(entries[len(turn.done) :])
                for deed in turn.deeds:
                    await self._perform(lane, deed, timers)
                lane.running = turn.running
                for done in turn.done:
                    if isinstance(done, _Update):
                        leaving = done.leaving
                        lane.updating -= 1
                        if leaving:
                            self._leaving.discard(lane)
                        done.done.set()
                    else:
                        lane.starting -= _starts(done)
                if not self.running:
                    self._idle.unpark_all()
            timers.cancel_scope.cancel()

    def _take_turn(self, lane: _Lane, entries: Sequence[Entry[Work | _Update]]) -> _Turn:
        """Handle events until one wants something done, on the cores' thread."""
        turn = _Turn()
        until = time.perf_counter() + TURN_SECONDS
        for entry in entries:
            work = entry.event
            turn.done.append(work)
            try:
                if isinstance(work, _Update):
                    turn.deeds += lane.executors.update(work.own, work.chain)
                else:
                    turn.deeds += lane.executors.handle(work, self._clock())
            except Exception:
                metrics.COMMITTEE_ERRORS.inc()
                kind = type(work if isinstance(work, _Update) else work.event).__name__
                log.exception("committee failed on an event", committee=lane.committee_id.hex(), kind=kind)
            acts = any(not isinstance(deed.effect, Rejected) for deed in turn.deeds)
            if acts or isinstance(work, _Update) or time.perf_counter() > until:
                break
        turn.running = lane.executors.running
        return turn

    async def _perform(self, lane: _Lane, deed: Deed, timers: trio.Nursery) -> None:
        match deed.effect:
            case Broadcast(message=message):
                await self._ports.publish(lane.own, message)
            case ArmTimer() as armed:
                timers.start_soon(self._run_timer, lane, deed.validator, armed)
            case AskBeacon() as asked:
                timers.start_soon(self._ask, lane, deed.validator, asked)
            case DutyEnded(record=record):
                self._ports.ended(record)
            case Rejected() as refused:
                log.debug("refused", rule=refused.rule, detail=refused.detail, operators=refused.operators)
            case submission:
                self._ports.submit(submission)

    async def _run_timer(self, lane: _Lane, validator: PublicKey | None, armed: ArmTimer) -> None:
        await self._sleep_until(armed.at)
        lane.queue.put(Work(validator, TimerFired(armed.timer)), timer_priority(armed.timer))

    async def _ask(self, lane: _Lane, validator: PublicKey | None, asked: AskBeacon) -> None:
        """Send a request when what it asks for is due: aggregates are not complete before."""
        if asked.kind is not AskKind.BLOCK and self._chain is not None:
            await self._sleep_until(self._chain.aggregate_due(asked.slot))
        self._ports.ask(
            BeaconRequest(
                request_key(asked.request_id),
                lane.committee_id,
                validator or b"",
                asked.request_id,
                asked.kind,
                asked.slot,
                asked.arguments,
                asked.deadline,
            )
        )

    async def _sleep_until(self, instant: float) -> None:
        await trio.sleep(max(0.0, instant - self._clock()))


def _starts(work: Work) -> bool:
    return isinstance(work.event, StartDuty | StartValidatorDuty | StartAggregatorCommitteeDuty)
