"""What follows when the registry or the validators' metadata changed."""

import time
from datetime import UTC, datetime

import redis
from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.messaging.commands import RegistryChanged
from ssv_pool.observability.logs import logger
from workers import schedule
from workers.context import WorkerContext

_VALID_SECONDS = 60.0

_log = logger(__name__)


def registry_changed(app: Celery, context: WorkerContext, *, validators: bool) -> None:
    """Tell the node, and have metadata (where validators may be new) and plans brought up to date.

    The node and the ticker find the change by themselves too, later: a broker that is away loses nothing.
    """
    version = context.database.version()
    try:
        context.bus.publish(RegistryChanged(version))
    except redis.RedisError as error:
        _log.warning("the node was not told of a change", version=version, problem=str(error).partition("\n")[0])
    until = time.time() + _VALID_SECONDS
    tasks = [schedule.REFRESH_VALIDATORS, schedule.PLAN_DUTIES] if validators else [schedule.PLAN_DUTIES]
    try:
        for task in tasks:
            app.send_task(
                task,
                (f"{task}:version:{version}", until),
                expires=datetime.fromtimestamp(until, UTC),
                ignore_result=True,
            )
    except (OperationalError, KombuError, CeleryError, OSError) as error:
        _log.warning("duties are planned again only later", version=version, problem=str(error).partition("\n")[0])
