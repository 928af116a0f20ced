"""The keeper's clock: publishes each of its tasks once a period. Several keepers of one operator list the same ones."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.observability.logs import logger

QUEUE = "keeper"
"""The queue of the keeper's tasks: only the process that has the member's key takes from it."""

PREFIX = "ssv.keeper."
"""Begins the names of the keeper's tasks."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """One task in one period."""

    key: str
    """Names it; what its claim is for."""
    task: str
    until: float
    """From then on it is not begun any more, seconds since the UNIX epoch."""


def turns(tasks: Sequence[str], period: float, number: int) -> Iterator[Turn]:
    """What is done in a period, each period beginning with another task: where time is short, none waits for ever.

    Args:
        tasks: the tasks in their order.
        period: length of a period in seconds.
        number: which period since the UNIX epoch.
    """
    first = number % len(tasks)
    for task in (*tasks[first:], *tasks[:first]):
        yield Turn(f"keeper:{task}:{number}", task, (number + 2) * period)


class KeeperClock:
    """Runs in a daemon thread of its own."""

    def __init__(self, app: Celery, tasks: Sequence[str], period: float, now: Callable[[], float] = time.time) -> None:
        self._app = app
        self._tasks = tuple(tasks)
        self._period = period
        self._now = now
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper-clock", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stop.set()

    def publish(self, number: int) -> None:
        """Publish a period's tasks. Raises what Celery raises where the broker is away."""
        for turn in turns(self._tasks, self._period, number):
            self._app.send_task(
                f"{PREFIX}{turn.task}",
                (turn.key, turn.until),
                queue=QUEUE,
                expires=datetime.fromtimestamp(turn.until, UTC),
                retry=False,
                ignore_result=True,
            )

    def _run(self) -> None:
        trouble = False
        number = int(self._now() // self._period)
        while not self._stop.is_set():
            try:
                self.publish(number)
            except (redis.RedisError, OperationalError, KombuError, CeleryError, OSError) as error:
                if not trouble:
                    _log.warning("keeper cannot publish: trying again", problem=str(error).partition("\n")[0])
                trouble = True
            else:
                trouble = False
            # At once the present period, then each when it begins.
            number = max(number + 1, int(self._now() // self._period))
            self._stop.wait(max(0.0, number * self._period - self._now()))
