"""Tasks that begin a slot's duties at their instant: proposals first, what else begins with the slot, attestations."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import redis

from ssv_pool.beacon.aggregation import aggregation_commands
from ssv_pool.beacon.occasions import Occasions, occasion_commands, occasions_of_slot
from ssv_pool.beacon.planner import CommitteeSlot, aggregations_of_slot, committees_of_slot, proposals_of_slot
from ssv_pool.beacon.proposals import proposal_commands
from ssv_pool.beacon.window import Clock, SlotWindow, publish
from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.claims import Claim
from ssv_pool.messaging.commands import validator_duty_key
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId, Slot
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.settings import fork_schedule
from ssv_pool.store.duties import has_epoch
from workers import schedule
from workers.app import app, context

LOOK_SECONDS = 0.1
"""Pause between two looks for a plan that is not there yet."""

ONCE_SECONDS = 2 * 86_400.0
"""How long it is remembered that an exit or a registration after an event was begun: longer than it stays due."""

_log = logger(__name__)

_Duties = list[tuple[CommitteeId, ValidatorDuty]]
_Read = TypeVar("_Read")

_NO_DUTIES: _Duties = []
_NO_COMMITTEES: list[CommitteeSlot] = []


@app.task(name=schedule.PROPOSE_SLOT)
def propose_slot(key: str, until: float, slot: int, due: float) -> None:
    """At the slot's start, begin the proposal where an own validator is its proposer. Asks no beacon node before."""

    def read(chain: BeaconChain, operator_id: OperatorId) -> _Duties | None:
        with context.database.read() as session:
            if not has_epoch(session, chain.epoch_of(slot), BeaconRole.PROPOSER):
                return None
            return proposals_of_slot(session, chain, operator_id, Slot(slot))

    def start(chain: BeaconChain, window: SlotWindow, proposals: _Duties) -> None:
        commands = proposal_commands(chain, window, proposals)
        if commands and publish(context.bus, Clock(), window, "proposal", commands):
            _log.info("proposal started", slot=slot, validator=proposals[0][1].validator_index, delay_ms=_delay(window))

    _begin(key, SlotWindow(Slot(slot), due, 0.0, until), _Steps(read, lambda *_: _sleep_until(due), start, _NO_DUTIES))


@app.task(name=schedule.BEGIN_SLOT)
def begin_slot(key: str, until: float, slot: int, due: float) -> None:
    """At the slot's start, begin aggregations, registrations and exits; a moment later where a block comes first."""

    def read(chain: BeaconChain, operator_id: OperatorId) -> _Beginning | None:
        with context.database.read() as session:
            if not has_epoch(session, chain.epoch_of(slot)):
                return None
            return _Beginning(
                aggregations_of_slot(session, chain, operator_id, Slot(slot)),
                occasions_of_slot(session, chain, operator_id, Slot(slot)),
                bool(proposals_of_slot(session, chain, operator_id, Slot(slot))),
            )

    def wait(chain: BeaconChain, found: _Beginning | None) -> float:
        return _sleep_until(due + (schedule.head_start(chain) if found is not None and found.proposes else 0.0))

    def start(chain: BeaconChain, window: SlotWindow, found: _Beginning) -> None:
        aggregations, occasions = found.aggregations, found.occasions
        forks = fork_schedule(context.settings, chain.slots_per_epoch)
        claims, once = _claim(occasions)
        commands = [
            *aggregation_commands(chain, forks, window, aggregations),
            *occasion_commands(chain, window, [*occasions.regular, *once]),
        ]
        published = not commands or publish(context.bus, Clock(), window, "aggregations", commands)
        for claim in claims:
            context.settle(claim, ONCE_SECONDS if published else None)
        if commands and published:
            _log.info(
                "aggregations started",
                slot=slot,
                validators=len(aggregations),
                registrations=len(occasions.regular),
                by_event=len(once),
                delay_ms=_delay(window),
            )

    _begin(key, SlotWindow(Slot(slot), due, 0.0, until), _Steps(read, wait, start, _Beginning()))


@app.task(name=schedule.ATTEST_SLOT)
def attest_slot(key: str, until: float, slot: int, due: float) -> None:
    """A third into the slot, or a moment after its block came, start the attestations and sync committee messages."""

    def read(chain: BeaconChain, operator_id: OperatorId) -> list[CommitteeSlot] | None:
        with context.database.read() as session:
            return committees_of_slot(session, chain, operator_id, Slot(slot))

    def start(chain: BeaconChain, window: SlotWindow, committees: list[CommitteeSlot]) -> None:
        if committees:
            context.attester.start(chain, window, committees)

    def wait(chain: BeaconChain, found: list[CommitteeSlot] | None) -> float:  # noqa: ARG001
        return context.heads.wait(Slot(slot), due)

    _begin(key, SlotWindow(Slot(slot), due, 0.0, until), _Steps(read, wait, start, _NO_COMMITTEES))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What begins with a slot."""

    aggregations: _Duties = field(default_factory=list)
    occasions: Occasions = field(default_factory=Occasions)
    proposes: bool = False
    """Whether an own validator proposes in it."""


@dataclass(frozen=True, slots=True)
class _Steps(Generic[_Read]):
    """How one of a slot's pieces of work is done."""

    read: Callable[[BeaconChain, OperatorId], _Read | None]
    """Finds out what there is to do; None when that is not known (yet)."""
    wait: Callable[[BeaconChain, _Read | None], float]
    """Waits for the instant; returns when that was."""
    start: Callable[[BeaconChain, SlotWindow, _Read], None]
    """Starts it."""
    nothing: _Read
    """What there is to do for an operator that is not registered."""


def _begin(key: str, window: SlotWindow, steps: _Steps[_Read]) -> None:
    """Read what there is to do, wait for the instant, claim the piece of work, start it.

    Args:
        key: names the piece of work.
        window: the slot; when the work begins is not known yet.
        steps: how it is done.
    """
    slot = window.slot
    chain = _chain(slot)
    if chain is None or time.time() >= window.until:
        return
    found = _read(chain, slot, steps)
    due = steps.wait(chain, found)
    begun = time.time()
    if not found:
        # Planned only just now, perhaps; else there is nothing to do, or the ticker sees to it that it is tried again.
        found = _await(chain, window, steps)
        if found is None:
            return
        begun = time.time()
    work = found
    known = SlotWindow(slot, due, begun, window.until)

    def do() -> bool:
        steps.start(chain, known, work)
        return True

    while True:
        try:
            context.run_claimed(key, schedule.slot_lease(chain), max(60.0, 4 * chain.slot_seconds), do)
        except redis.RedisError as error:
            if time.time() + LOOK_SECONDS >= window.until:
                _log.error("a slot's duties missed", key=key, slot=slot, problem=str(error).partition("\n")[0])
                return
            time.sleep(LOOK_SECONDS)
        else:
            return


def _sleep_until(instant: float) -> float:
    if (wait := instant - time.time()) > 0:
        time.sleep(wait)
    return instant


def _await(chain: BeaconChain, window: SlotWindow, steps: _Steps[_Read]) -> _Read | None:
    """Look for a plan that is being made just now: an epoch's first duties wait for it, for a short while."""
    end = min(window.until, time.time() + schedule.slot_lease(chain))
    while (found := _read(chain, window.slot, steps)) is None and time.time() + LOOK_SECONDS < end:
        time.sleep(LOOK_SECONDS)
    return found


def _chain(slot: Slot) -> BeaconChain | None:
    try:
        return context.chain()
    except UnavailableError as error:
        _log.warning("duties of a slot not read: trying again", slot=slot, problem=str(error))
        return None


def _read(chain: BeaconChain, slot: Slot, steps: _Steps[_Read]) -> _Read | None:
    try:
        operator_id = context.operator_id()
        return steps.nothing if operator_id is None else steps.read(chain, operator_id)
    except (UnavailableError, redis.RedisError) as error:
        _log.warning("duties of a slot not read: trying again", slot=slot, problem=str(error).partition("\n")[0])
        return None


def _claim(occasions: Occasions) -> tuple[list[Claim], _Duties]:
    """Those of the duties that are begun once that nobody has begun, with the claims on them."""
    claims, duties = [], []
    for committee_id, duty in occasions.once:
        claim = context.claims.take(validator_duty_key(BeaconRole(duty.type), duty.slot, duty.pubkey), 10.0)
        if isinstance(claim, Claim):
            claims.append(claim)
            duties.append((committee_id, duty))
    return claims, duties


def _delay(window: SlotWindow) -> float:
    return round((window.begun - window.due) * 1000, 1)
