"""The kind of Celery application that all processes of an operator have."""

import os
from typing import Any

from celery import Celery

from ssv_pool.messaging.tasks import ORDINARY
from workers import steps


class PoolCelery(Celery):
    """A Celery application whose workers are quiet and quick to reconnect."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Celery's command line takes our BROKER_URL for its own, which knows no unix://; the settings have it right.
        os.environ.pop("CELERY_BROKER_URL", None)
        super().__init__(*arguments, **options)

    amqp_cls = f"{steps.__name__}:QuickAmqp"

    def send_task(self, *arguments: Any, **options: Any) -> Any:
        """As its base; ordinary priority where none is given, which the transport would take for the highest."""
        if options.get("priority") is None:
            options["priority"] = ORDINARY
        return super().send_task(*arguments, **options)

    @property
    def Worker(self) -> Any:  # noqa: N802 - Celery's name
        """The worker class that the command line starts."""
        return self.subclass_with_self(f"{steps.__name__}:QuietWorker")
