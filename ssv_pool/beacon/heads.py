"""When the heads of slots came: a block that is there lets its slot's attestations begin early."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from ssv_pool.protocol.types.primitives import Slot

AFTER_HEAD_SECONDS = 0.3
"""So long after its slot's head event an attestation begins, if that is before it is due (PROTOCOL 3.9)."""

KEPT_HEADS = 64
"""Slots of which it is remembered when their head came."""


class HeadBoard:
    """One per process: who listens to the beacon nodes writes, tasks wait. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._seen: OrderedDict[Slot, float] = OrderedDict()

    def note(self, slot: Slot) -> None:
        """The head of ``slot`` came now; a later one for the same slot changes nothing."""
        with self._changed:
            if slot in self._seen:
                return
            self._seen[slot] = self._now()
            while len(self._seen) > KEPT_HEADS:
                self._seen.popitem(last=False)
            self._changed.notify_all()

    def wait(self, slot: Slot, due: float) -> float:
        """Wait until ``slot``'s attestations begin; returns when that was: at ``due``, or a moment after its head."""
        with self._changed:
            while True:
                seen = self._seen.get(slot)
                instant = due if seen is None else min(due, seen + AFTER_HEAD_SECONDS)
                left = instant - self._now()
                if left <= 0:
                    return instant
                self._changed.wait(left)
