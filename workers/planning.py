"""Tasks that look ahead: planning this epoch's and the next one's duties, and telling the beacon nodes of them."""

import time
from datetime import UTC, datetime

import redis
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.beacon.planner import PlanResult, plan_epoch
from ssv_pool.beacon.preparations import prepare
from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.commands import DutiesPlanned
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import Epoch, OperatorId
from workers import schedule
from workers.app import app, context

PREPARE_SECONDS = 30.0
"""How long the beacon nodes may be told of a new plan before it is left to the next half of the epoch."""

_log = logger(__name__)


@app.task(name=schedule.PLAN_DUTIES)
def plan_duties(key: str, until: float) -> None:
    """Plan this epoch and the next."""
    context.run_periodic(key, until, lambda: _plan(key))


@app.task(name=schedule.PREPARE_NODES)
def prepare_nodes(key: str, until: float) -> None:
    """Tell the beacon nodes the fee recipients, and the subnets that this and the next epoch's duties need."""
    context.run_periodic(key, until, _prepare)


def _plan(key: str) -> bool:
    chain = context.chain()
    operator_id = context.operator_id()
    if chain is None or operator_id is None:
        # Nothing to plan for: knowing either brings a plan of its own.
        return True
    epoch = chain.epoch_at(time.time())
    results = [_plan_epoch(chain, operator_id, planned) for planned in (epoch, Epoch(epoch + 1))]
    if any(result is not None and result.changed for result in results):
        _have_prepared(key)
    return all(result is not None and not result.problems for result in results)


def _plan_epoch(chain: BeaconChain, operator_id: OperatorId, epoch: Epoch) -> PlanResult | None:
    """Plan one epoch; None when the store was not there."""
    try:
        result = plan_epoch(context.database, context.beacon, chain, operator_id, epoch)
    except UnavailableError as error:
        _log.warning("duties not planned: trying again", epoch=epoch, problem=str(error))
        return None
    if result.problems:
        _log.warning("duties not planned: trying again", epoch=epoch, problem="; ".join(result.problems))
    if result.changed:
        _log.info(
            "duties planned",
            epoch=epoch,
            validators=result.validators,
            duties=result.duties,
            proposals=result.proposals,
            sync_members=result.sync_members,
        )
        try:
            context.bus.publish(DutiesPlanned(epoch, time.time()))
        except redis.RedisError as error:
            # The node looks at the store by itself too, later.
            _log.debug("the node was not told of a plan", epoch=epoch, problem=str(error).partition("\n")[0])
    return result


def _have_prepared(key: str) -> None:
    until = time.time() + PREPARE_SECONDS
    try:
        app.send_task(
            schedule.PREPARE_NODES,
            (f"prepare:{key}", until),
            expires=datetime.fromtimestamp(until, UTC),
            retry=False,
            ignore_result=True,
        )
    except (OperationalError, KombuError, CeleryError, OSError) as error:
        _log.debug("beacon nodes are prepared only later", problem=str(error).partition("\n")[0])


def _prepare() -> bool:
    chain = context.chain()
    operator_id = context.operator_id()
    if chain is None or operator_id is None:
        return True
    epoch = chain.epoch_at(time.time())
    problems = prepare(context.database, context.beacon, chain, operator_id, epoch)
    if problems:
        _log.warning("beacon nodes not prepared: trying again", epoch=epoch, problem="; ".join(problems))
    return not problems
