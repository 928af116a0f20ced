"""The keeper's Celery application: ``celery -A workers.keeper worker``. CONFIG_PATH names the configuration file.

A process of its own with a queue of its own, because it alone reads the member's Ethereum key. Each of the keeper's
tasks is a Celery task; a period's tasks share one look at the chain. The key is never in a task, the log or the store.
"""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging

from ssv_pool.errors import SsvPoolError
from ssv_pool.messaging.tasks import celery_config
from ssv_pool.observability.logs import logger
from ssv_pool.pool.judgement import TASKS
from ssv_pool.pool.keeper import Keeper, open_account
from ssv_pool.settings import Settings, load_settings
from workers import steps
from workers.context import WorkerContext
from workers.keeper_clock import PREFIX, QUEUE, KeeperClock
from workers.logs import set_up_logging
from workers.quiet import PoolCelery

_log = logger(__name__)

warnings.filterwarnings("ignore", category=SecurityWarning)


class Clockwork(bootsteps.StartStopStep):
    """Starts and stops the keeper's clock with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._clock = KeeperClock(app, tuple(TASKS), context.settings.pool.poll_seconds)

    def start(self, parent: Any) -> None:  # noqa: ARG002, D102 - as its base
        self._clock.start()

    def stop(self, parent: Any) -> None:  # noqa: ARG002, D102 - as its base
        self._clock.stop()


def make_app(settings: Settings) -> tuple[PoolCelery, WorkerContext, Keeper]:
    """The application for these settings. Raises ConfigError, KeyFileError: there is no pool or no key for it."""
    account = open_account(settings)
    shared = WorkerContext(settings)
    kept = Keeper(settings, account, shared.database, shared.beacon)
    made = PoolCelery("ssv-keeper", set_as_current=True)
    made.conf.update(celery_config(shared.broker, settings.instance))
    made.conf.update(
        task_default_queue=QUEUE,
        worker_pool="threads",
        # One after the other: they send from one account and share one look at the chain.
        worker_concurrency=1,
        # With fewer the worker would wait a second between two tasks.
        worker_prefetch_multiplier=2 * len(TASKS),
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        worker_send_task_events=False,
    )
    steps.install(made)
    made.steps["worker"].add(Clockwork)
    for task in TASKS:
        made.task(_keeping(task), name=f"{PREFIX}{task}")
    return made, shared, kept


def _keeping(task: str) -> Callable[[str, float], None]:
    def keep(key: str, until: float) -> None:
        """Do one task of one period, unless it was done."""
        context.run_periodic(key, until, lambda: _round(task))

    return keep


def _round(task: str) -> bool:
    try:
        chain = context.chain() or context.beacon.chain()
        # Half a period: the tasks of one period look once, unless something was sent in between.
        keeper.round(chain, [task], fresh=context.settings.pool.poll_seconds / 2)
        keeper.works(task)
    except SsvPoolError as error:
        keeper.fail(task, error)
    return True


@setup_logging.connect
def _set_up_logging(**_: object) -> None:
    set_up_logging(context.settings, "keeper")
    _log.info("keeper", pool=context.settings.pool.contract, poll_seconds=context.settings.pool.poll_seconds)


def _load() -> tuple[PoolCelery, WorkerContext, Keeper]:
    path = os.environ.get("CONFIG_PATH")
    try:
        return make_app(load_settings(Path(path) if path else None))
    except SsvPoolError as error:
        # Celery would wrap the error in a page of its own.
        sys.stderr.write(f"keeper: error: {error}\n")
        sys.exit(error.exit_code)


app, context, keeper = _load()
