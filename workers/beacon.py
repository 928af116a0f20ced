"""Tasks that look at the beacon node: its state and constants, and the validators' metadata."""

from ssv_pool.beacon.planner import refresh_metadata
from ssv_pool.errors import UnavailableError
from ssv_pool.observability.logs import logger
from ssv_pool.store.chain import save_chain
from workers import schedule
from workers.app import app, context
from workers.changes import registry_changed

BEACON_PART = "beacon_node"

_log = logger(__name__)


@app.task(name=schedule.REFRESH_BEACON)
def refresh_beacon(key: str, until: float) -> None:
    """Look how the beacon node is, and keep the chain's constants."""
    context.run_periodic(key, until, _refresh_beacon)


@app.task(name=schedule.REFRESH_VALIDATORS)
def refresh_validators(key: str, until: float) -> None:
    """Bring the validators' beacon metadata up to date."""
    context.run_periodic(key, until, _refresh_validators)


def _refresh_beacon() -> bool:
    try:
        status = context.beacon.syncing()
        chain = context.beacon.chain()
        with context.database.session() as session:
            new = save_chain(session, chain)
    except UnavailableError as error:
        context.report(BEACON_PART, str(error))
        return True
    if new:
        _log.info("chain constants kept", slot_ms=chain.slot_duration_ms, slots_per_epoch=chain.slots_per_epoch)
    context.report(BEACON_PART, status.problem, head_slot=status.head_slot, sync_distance=status.distance)
    return True


def _refresh_validators() -> bool:
    try:
        changed = refresh_metadata(context.database, context.beacon)
    except UnavailableError as error:
        _log.debug("validator metadata not refreshed", problem=str(error))
        return False
    if changed:
        _log.info("validator metadata changed", validators=changed)
        registry_changed(app, context, validators=False)
    return True
