"""The Celery application: ``celery -A workers.app worker``. CONFIG_PATH names the configuration file.

Tasks are thin; what they do is in ``ssv_pool``. Every task may come twice or late: each has a key, a claim and a
deadline.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging

from ssv_pool.errors import SsvPoolError, UnavailableError
from ssv_pool.messaging.tasks import celery_config
from ssv_pool.observability.http import StatusServer, metrics_routes
from ssv_pool.observability.logs import logger
from ssv_pool.settings import Settings, load_settings
from workers import steps
from workers.context import WorkerContext
from workers.heads import HeadWatcher
from workers.logs import set_up_logging
from workers.quiet import PoolCelery
from workers.ticker import Ticker

TASK_MODULES = (
    "workers.answers",
    "workers.beacon",
    "workers.duties",
    "workers.inclusion",
    "workers.journal",
    "workers.planning",
    "workers.registry",
    "workers.submissions",
)

_log = logger(__name__)

# Containers run it as root; the page that Celery writes about that is no line of a log.
warnings.filterwarnings("ignore", category=SecurityWarning)


def make_app(settings: Settings) -> tuple[PoolCelery, WorkerContext]:
    """The application for these settings, and what its tasks share."""
    context = WorkerContext(settings)
    made = PoolCelery("ssv", set_as_current=True)
    made.conf.update(celery_config(context.broker, settings.instance))
    made.conf.update(
        include=TASK_MODULES,
        worker_pool="threads",
        worker_concurrency=settings.worker.concurrency,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        worker_send_task_events=False,
    )
    steps.install(made)
    made.steps["worker"].add(Clockwork)
    return made, context


class Clockwork(bootsteps.StartStopStep):
    """Starts and stops ticker, head watcher and the page of metrics with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._ticker = Ticker(app, context)
        self._heads = HeadWatcher(app, context)
        self._metrics: StatusServer | None = None

    def start(self, parent: Any) -> None:  # noqa: ARG002, D102 - as its base
        self._metrics = _serve_metrics(context.settings)
        self._ticker.start()
        self._heads.start()

    def stop(self, parent: Any) -> None:  # noqa: ARG002, D102 - as its base
        self._ticker.stop()
        self._heads.stop()
        if self._metrics is not None:
            self._metrics.close()


def _serve_metrics(settings: Settings) -> StatusServer | None:
    """This process's ``/metrics``, if it should have one. A port that is taken costs the page, not the worker."""
    port = settings.worker.metrics_port
    if port is None:
        return None
    try:
        return StatusServer(settings.api_host, port, metrics_routes())
    except UnavailableError as error:
        _log.error("metrics are not served", problem=str(error))
        return None


@setup_logging.connect
def _set_up_logging(**_: object) -> None:
    set_up_logging(context.settings, "worker")


def _load() -> tuple[PoolCelery, WorkerContext]:
    path = os.environ.get("CONFIG_PATH")
    try:
        return make_app(load_settings(Path(path) if path else None))
    except SsvPoolError as error:
        # Celery would wrap the error in a page of its own.
        sys.stderr.write(f"worker: error: {error}\n")
        sys.exit(error.exit_code)


app, context = _load()
