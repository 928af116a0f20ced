"""The node's clock: slots and the instants inside them. The only place here that reads the time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlotClock:
    """Slot arithmetic on top of a source of time."""

    genesis_time: int
    """Start of slot 0, whole seconds since the UNIX epoch."""
    slot_duration_ms: int
    """Length of a slot in milliseconds."""
    slots_per_epoch: int
    """SLOTS_PER_EPOCH of the preset."""
    now: Callable[[], float] = time.time
    """The current time, seconds since the UNIX epoch; tests pass their own."""

    def now_ms(self) -> int:
        """The current time in milliseconds since the UNIX epoch."""
        return int(self.now() * 1000)

    def started(self) -> bool:
        """Whether genesis has passed."""
        return self.now() >= self.genesis_time

    def slot(self) -> int:
        """The slot that runs now; 0 before genesis."""
        return max(0, (self.now_ms() - self.genesis_time * 1000) // self.slot_duration_ms)

    def epoch(self) -> int:
        """The epoch that runs now; 0 before genesis."""
        return self.slot() // self.slots_per_epoch

    def instant(self, slot: int, offset_ms: int = 0) -> float:
        """``offset_ms`` after the start of ``slot``, seconds since the UNIX epoch."""
        return self.genesis_time + (slot * self.slot_duration_ms + offset_ms) / 1000

    async def sleep_until(self, instant: float) -> None:
        """Sleep until ``instant``; returns at once when it has passed."""
        await asyncio.sleep(max(0.0, instant - self.now()))
