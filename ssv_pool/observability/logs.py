"""One logging setup for every process: structlog over the standard library, console or JSON lines on stderr.

ERROR means a person must act; WARNING means look at it; a slot or an epoch is one line at INFO.
"""

import logging
import sys
from typing import Literal

import structlog

NOISY = ("libp2p", "httpx", "httpcore", "urllib3", "web3", "kombu", "amqp", "celery.redirected", "async_service")
"""Libraries that log every request or frame: only their warnings are kept."""


def configure_logging(level: str, style: Literal["console", "json"], **context: object) -> None:
    """Set up logging for this process.

    Args:
        level: name of the lowest level to print.
        style: ``console`` for people, ``json`` for one JSON object a line.
        context: fields that every line of this process carries (operator id, process kind).
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_context(context),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        # Pretty tracebacks would print local variables, keys among them.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _with_context(context: dict[str, object]) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for key, value in context.items():
            event.setdefault(key, value)
        return event

    return add


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger called ``name``; its calls take an event text and key=value fields."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound
