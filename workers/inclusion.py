"""The task that looks up, an epoch later, what became of the duties on the chain."""

from ssv_pool.beacon.inclusion import check_epoch
from ssv_pool.errors import UnavailableError
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.types.primitives import Epoch
from ssv_pool.settings import fork_schedule
from workers import schedule
from workers.app import app, context

_log = logger(__name__)


@app.task(name=schedule.CHECK_INCLUSION)
def check_inclusion(key: str, until: float, epoch: int) -> None:
    """Note in the journal which duties of ``epoch`` came into the chain, which did not, and which were never begun."""
    context.run_periodic(key, until, lambda: _check(Epoch(epoch)))


def _check(epoch: Epoch) -> bool:
    chain = context.chain()
    operator_id = context.operator_id()
    if chain is None or operator_id is None:
        return True
    forks = fork_schedule(context.settings, chain.slots_per_epoch)
    try:
        noted = check_epoch(context.database, context.beacon, chain, forks, operator_id, epoch)
    except UnavailableError as error:
        _log.warning("inclusion not looked up: trying again", epoch=epoch, problem=str(error))
        return False
    if noted.failed:
        _log.warning("duties not in the chain", epoch=epoch, duties=noted.failed, included=noted.included)
    elif noted.included:
        _log.info("duties are in the chain", epoch=epoch, included=noted.included)
    return True
