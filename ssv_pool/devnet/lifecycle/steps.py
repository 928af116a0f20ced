"""The steps of a life, and when each happened."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ssv_pool.devnet.config import SLOTS_PER_EPOCH

STEPS: Final = {
    "stake": "stakers deposit",
    "register": "the keeper registers a validator",
    "fund": "32 ETH go into the deposit contract",
    "deposit": "the deposit is in the beacon state",
    "validator": "the beacon chain makes the validator",
    "activate": "the validator is active",
    "duties": "the committee does its duties",
    "report": "rewards are reported",
    "leave": "a staker leaves, then the others",
    "request_exit": "the keeper asks for the exit",
    "sign_exit": "the committee's exit is in a block",
    "exit": "the validator is out",
    "withdraw": "the withdrawal is on the execution chain",
    "settle": "the return is reported",
    "payout": "the stakers are paid",
    "retire": "the validator leaves the registry",
}
"""Name → what happens, about in this order: keepers may retire a validator before its return is reported, or after the
payout. Each is seen on a chain, whoever does it."""


_BY: Final = {
    "stakers": ("stake", "leave", "payout"),
    "keepers": ("register", "fund", "report", "request_exit", "settle", "retire"),
    "committee": ("duties", "sign_exit"),
    "beacon chain": ("deposit", "validator", "activate", "exit", "withdraw"),
}
ACTORS: Final = {name: actor for actor, names in _BY.items() for name in names}
"""Name of a step → who does it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was seen."""

    name: str
    slot: int
    """Slot of the beacon chain when it was seen."""
    seconds: float
    """After the life's begin."""
    detail: str
    """What was found."""

    @property
    def epoch(self) -> int:
        """Epoch of the slot."""
        return self.slot // SLOTS_PER_EPOCH

    def __str__(self) -> str:
        """One line for people."""
        when = f"{self.seconds:6.1f} s  slot {self.slot:>3}, epoch {self.epoch:>2}"
        return f"{when}  {self.name:<13} {self.detail}"

    def as_json(self) -> dict[str, Any]:
        """For ``report.json``."""
        return {
            "name": self.name,
            "by": ACTORS[self.name],
            "meaning": STEPS[self.name],
            "slot": self.slot,
            "epoch": self.epoch,
            "seconds": round(self.seconds, 1),
            "detail": self.detail,
        }


class StepLog:
    """Steps in the order in which they were seen; may be read by one thread while another writes."""

    def __init__(self, genesis_time: float, slot_seconds: int, now: Callable[[], float] = time.time) -> None:
        """The life begins now.

        Args:
            genesis_time: start of slot 0, seconds since the UNIX epoch.
            slot_seconds: length of a slot.
            now: the present, seconds since the UNIX epoch.
        """
        self._genesis_time = genesis_time
        self._slot_seconds = slot_seconds
        self._now = now
        self._begun = now()
        self._steps: dict[str, Step] = {}
        self._lock = threading.Lock()

    def note(self, name: str, detail: str) -> None:
        """A step was seen now; one that was seen before stays as it is. Raises ValueError: there is no such step."""
        if name not in STEPS:
            raise ValueError(f"step {name!r}: expected one of {', '.join(STEPS)}")
        now = self._now()
        slot = max(0, int((now - self._genesis_time) // self._slot_seconds))
        with self._lock:
            self._steps.setdefault(name, Step(name, slot, now - self._begun, detail))

    def done(self, name: str) -> bool:
        """Whether a step was seen."""
        with self._lock:
            return name in self._steps

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was seen, in the order in which it was."""
        with self._lock:
            return tuple(self._steps.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Steps that were not seen."""
        with self._lock:
            return tuple(name for name in STEPS if name not in self._steps)
