"""Logging of Celery processes: ours as everywhere, Celery's own without what nobody wants to read."""

import logging

from celery.exceptions import CPendingDeprecationWarning

from ssv_pool.observability.logs import configure_logging
from ssv_pool.settings import Settings

CHATTY = ("celery.app.trace", "celery.worker.request", "celery.worker.strategy")
"""Loggers with a line or two a task: only their warnings are kept."""


def set_up_logging(settings: Settings, process: str) -> None:
    """Configure the logging of a Celery process.

    Args:
        settings: say level and format.
        process: what the lines call it.
    """
    configure_logging(settings.log.level, settings.log.format, process=process)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("celery.app.base", "celery.worker.consumer.consumer", "celery.worker.request", "py.warnings"):
        logging.getLogger(name).addFilter(_OneLine())


class _OneLine(logging.Filter):
    """Celery's account of a broker that is away: an error for each attempt, a traceback, advice in many lines.

    The ticker says it in one. A task that was sent after it expired is a page too; the task's own log says what was
    missed.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "has an expiration date in the past" in text:
            return False
        # What could not be acknowledged comes again, from the restorer.
        if any(words in text for words in ("Cannot connect to", "Couldn't ack", CPendingDeprecationWarning.__name__)):
            return False
        if "Connection to broker lost" in text:
            record.exc_info = record.exc_text = None
        return True
