"""Health of an operator: one line for each part, ``good`` or ``bad: …``."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

GOOD = "good"


@dataclass(frozen=True, slots=True)
class _Part:
    status: str
    since: float
    stale_after: float | None
    updated: float


class Health:
    """What each part of the process last said of itself. Thread-safe.

    A part that was told to report and stays silent longer than ``stale_after`` seconds turns bad by itself, so that a
    dead loop cannot stay green.
    """

    def __init__(self, parts: tuple[str, ...], clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        now = clock()
        self._parts = {name: _Part("bad: starting", now, None, now) for name in parts}

    def report(self, part: str, problem: str | None = None, *, stale_after: float | None = None) -> bool:
        """Say how ``part`` is. Returns True when that changed.

        Args:
            part: name of the part.
            problem: what is wrong, one line; None when all is well.
            stale_after: seconds after which silence counts as a problem.
        """
        status = GOOD if problem is None else f"bad: {problem}"
        with self._lock:
            old = self._parts.get(part)
            now = self._clock()
            changed = old is None or old.status != status
            since = now if old is None or changed else old.since
            self._parts[part] = _Part(status, since, stale_after, now)
            return changed

    def snapshot(self) -> Mapping[str, str]:
        """Part → ``good`` or ``bad: …``."""
        now = self._clock()
        with self._lock:
            return {name: _status(part, now) for name, part in self._parts.items()}

    @property
    def ready(self) -> bool:
        """Whether every part is good."""
        return all(status == GOOD for status in self.snapshot().values())


def _status(part: _Part, now: float) -> str:
    silent = now - part.updated
    if part.stale_after is not None and silent > part.stale_after:
        return f"bad: no report for {silent:.0f} s, expected one every {part.stale_after:.0f} s"
    return part.status
