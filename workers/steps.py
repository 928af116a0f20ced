"""Worker steps: three cures for what the pinned celery and kombu do, and the ticker.

Each cure is needed on celery 5.6.3 with kombu 5.6.2 and was found by measuring; take one out only with a measurement.
"""

import functools
from typing import Any

from celery import Celery, bootsteps
from celery.app.amqp import AMQP
from celery.apps.worker import Worker
from kombu import Connection

RESTORE_SECONDS = 1.0
"""Pause between two looks for tasks that a dead worker took."""


class QuickConnection(Connection):
    """Tries a broker that is away again after tenths of a second, up to one; the default is 2 to 30 s.

    A slot is too short for the default pauses.
    """

    def ensure_connection(  # noqa: D102 - as its base
        self,
        errback: Any = None,
        max_retries: int | None = None,
        interval_start: float = 0.1,
        interval_step: float = 0.2,
        interval_max: float = 1.0,
        **options: Any,
    ) -> Any:
        return super().ensure_connection(errback, max_retries, interval_start, interval_step, interval_max, **options)


class QuickAmqp(AMQP):
    """Makes QuickConnections."""

    Connection = QuickConnection


class QuietWorker(Worker):
    """A worker without a banner, and without gossip, mingle and heartbeats between workers: nobody uses them."""

    def on_before_init(self, *arguments: Any, **options: Any) -> None:  # noqa: D102 - as its base
        super().on_before_init(*arguments, **{**options, "quiet": True})

    def setup_instance(self, *arguments: Any, **options: Any) -> None:  # noqa: D102 - as its base
        quiet = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        super().setup_instance(*arguments, **{**options, **quiet})


class FairTimers(bootsteps.StartStopStep):
    """Lets the event loop start all timers that are due.

    The hub starts ten an iteration and may then sleep a second: retries due at one instant would begin seconds late.
    """

    requires = ("celery.worker.components:Hub",)

    def create(self, parent: Any) -> None:  # noqa: D102 - as its base
        hub = getattr(parent, "hub", None)
        if hub is not None:
            hub.fire_timers = functools.partial(hub.fire_timers, max_timers=100_000)


class Restorer(bootsteps.StartStopStep):
    """Gives the tasks of a killed worker to another as soon as the visibility timeout is over.

    The transport looks once in 100 s by itself.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:  # noqa: D102 - as its base
        if parent.hub is None:
            return
        queue_state = parent.task_consumer.channel.qos
        restore = functools.partial(queue_state.restore_visible, num=1000, interval=1)
        self._timer = parent.hub.call_repeatedly(RESTORE_SECONDS, restore)

    def stop(self, parent: Any) -> None:  # noqa: ARG002, D102 - as its base
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def install(app: Celery) -> None:
    """Give an app's workers these steps."""
    app.steps["worker"].add(FairTimers)
    app.steps["consumer"].add(Restorer)
