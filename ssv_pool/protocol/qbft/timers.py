"""How long a round may take.

The specification leaves timers to the client; these are the Go client's. Committee and aggregation duties count from
the slot's start, so that all operators change rounds together, however late one of them began. A proposer's rounds
count from when they begin.
"""

from dataclasses import dataclass

from ssv_pool.protocol.types.primitives import Round


@dataclass(frozen=True, slots=True)
class RoundTimings:
    """The lengths of rounds."""

    quick_seconds: float = 2.0
    """Length of each of the first rounds."""
    quick_rounds: int = 8
    """How many rounds are quick."""
    slow_seconds: float = 120.0
    """Length of each round after those."""

    def elapsed_after(self, round_: Round) -> float:
        """Seconds from the beginning of round 1 to the end of ``round_``."""
        quick = min(round_, self.quick_rounds)
        return quick * self.quick_seconds + (round_ - quick) * self.slow_seconds

    def length_of(self, round_: Round) -> float:
        """Seconds that ``round_`` alone takes."""
        return self.quick_seconds if round_ <= self.quick_rounds else self.slow_seconds
