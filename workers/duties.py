"""Tasks that make duties happen: planning epochs ahead, and beginning the attestations of a slot at their instant."""

import time

import redis

from ssv_pool.beacon.attester import SlotWindow
from ssv_pool.beacon.planner import CommitteeSlot, committees_of_slot, plan_epoch
from ssv_pool.errors import UnavailableError
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import Epoch, Slot
from workers import schedule
from workers.app import app, context

_log = logger(__name__)


@app.task(name=schedule.PLAN_DUTIES)
def plan_duties(key: str, until: float) -> None:
    """Plan this epoch and the next."""
    context.run_periodic(key, until, _plan)


@app.task(name=schedule.ATTEST_SLOT)
def attest_slot(key: str, until: float, slot: int, due: float) -> None:
    """Wait for the due time, claim the slot, and start its attestations in every committee of this operator."""
    try:
        chain = context.chain()
    except UnavailableError as error:
        _log.warning("duties of a slot not read: trying again", slot=slot, problem=str(error))
        return
    if chain is None or time.time() >= until:
        return
    committees = _committees(chain, Slot(slot))
    wait = due - time.time()
    if wait > 0:
        time.sleep(wait)
    begun = time.time()
    if not committees:
        # Planned only just now, perhaps; else there is nothing to do, or the ticker sees to it that it is tried again.
        committees = _committees(chain, Slot(slot))
        if committees is None:
            return
    window = SlotWindow(Slot(slot), due, begun, until)
    found = committees
    keep = max(60.0, 4 * chain.slot_seconds)

    def work() -> bool:
        if found:
            context.attester.start(chain, window, found)
        return True

    while True:
        try:
            context.run_claimed(key, schedule.slot_lease(chain), keep, work)
        except redis.RedisError as error:
            if time.time() + 0.1 >= until:
                _log.error("attestations missed", slot=slot, problem=str(error).partition("\n")[0])
                return
            time.sleep(0.1)
        else:
            return


def _committees(chain: BeaconChain, slot: Slot) -> list[CommitteeSlot] | None:
    """What there is to attest; None when that is not known (yet)."""
    try:
        operator_id = context.operator_id()
        if operator_id is None:
            return []
        with context.database.read() as session:
            return committees_of_slot(session, chain, operator_id, slot)
    except (UnavailableError, redis.RedisError) as error:
        _log.warning("duties of a slot not read: trying again", slot=slot, problem=str(error).partition("\n")[0])
        return None


def _plan() -> bool:
    chain = context.chain()
    operator_id = context.operator_id()
    if chain is None or operator_id is None:
        # Nothing to plan for: knowing either brings a plan of its own.
        return True
    epoch = chain.epoch_at(time.time())
    done = True
    for planned in (epoch, Epoch(epoch + 1)):
        try:
            result = plan_epoch(context.database, context.beacon, chain, operator_id, planned)
        except UnavailableError as error:
            _log.warning("duties not planned: trying again", epoch=planned, problem=str(error))
            done = False
            continue
        if result.changed:
            _log.info("duties planned", epoch=planned, validators=result.validators, duties=result.duties)
    return done
