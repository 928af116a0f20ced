"""When the work of one slot is done, and how it is tried again until it is too late."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import redis

from ssv_pool.messaging.bus import CommandBus
from ssv_pool.messaging.commands import StartCommand
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.types.primitives import Slot

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Pauses between attempts in seconds, each twice the one before."""

_log = logger(__name__)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, to be replaced in tests."""

    now: Callable[[], float] = time.time
    """Seconds since the UNIX epoch."""
    sleep: Callable[[float], None] = time.sleep
    """Wait so many seconds."""


@dataclass(frozen=True, slots=True)
class SlotWindow:
    """When the work of a slot is done."""

    slot: Slot
    """The slot."""
    due: float
    """When it should begin."""
    begun: float
    """When it began."""
    until: float
    """From then on it is not begun any more."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is tried, in the words of the log."""

    what: str
    """The duties: ``attestations``."""
    trouble: str
    """Why it is tried again: ``no attestation data``."""


def keep_trying(
    clock: Clock, window: SlotWindow, work: Work, attempt: Callable[[], _Result], expected: type[Exception]
) -> _Result | None:
    """What ``attempt`` returns, tried again after an expected error until ``window.until``; None when that passed.

    The first failure is a warning, the end an error in the log.
    """
    pause, told = FIRST_PAUSE, False
    while True:
        try:
            return attempt()
        except expected as error:
            problem = str(error).partition("\n")[0]
        if clock.now() + pause >= window.until:
            _log.error(f"{work.what} missed", slot=window.slot, problem=problem)
            return None
        if not told:
            _log.warning(f"{work.trouble}: trying again", slot=window.slot, problem=problem)
            told = True
        clock.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def publish(bus: CommandBus, clock: Clock, window: SlotWindow, what: str, commands: Sequence[StartCommand]) -> bool:
    """Tell the node to begin duties, all or none; returns whether the broker took the commands in time."""

    def attempt() -> bool:
        bus.publish(*commands)
        return True

    work = Work(what, "the broker does not take commands")
    return bool(keep_trying(clock, window, work, attempt, redis.RedisError))
