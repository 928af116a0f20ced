"""Many seeds over several processes, and what came of them."""

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ssv_pool.simulation.simulator import SeedResult, Settings, run_seed

CHUNK = 50
"""Seeds handed to a process at once; it collects its garbage after them."""

KEPT_NUMBERS = 100
"""How many violating seeds a summary's JSON shows."""

Chunk = tuple[Settings, range]
"""What a process is given."""


@dataclass(slots=True)
class Summary:
    """The sum over many seeds of one setting."""

    settings: Settings
    seeds: int = 0
    """How many were played."""
    violations: list[tuple[int, str]] = field(default_factory=list)
    """Seed and what did not hold."""
    steps: int = 0
    """Events handled by operators."""
    messages: int = 0
    """Copies of messages sent."""
    ended: int = 0
    """Duties ended, counted for each operator."""
    completed: int = 0
    """Duties completed, counted for each operator."""
    rounds: dict[int, int] = field(default_factory=dict)
    """Highest round of a seed → how many seeds."""
    cpu_seconds: float = 0.0
    """Processor time used."""

    def add(self, result: SeedResult) -> None:
        """Count one seed."""
        self.seeds += 1
        self.steps += result.steps
        self.messages += result.messages
        self.ended += result.ended
        self.completed += result.completed
        self.rounds[result.rounds] = self.rounds.get(result.rounds, 0) + 1
        if result.violation:
            self.violations.append((result.seed, result.violation))

    def merge(self, other: "Summary") -> None:
        """Count what another summary of the same settings has counted."""
        for name in ("seeds", "steps", "messages", "ended", "completed", "cpu_seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for round_, count in other.rounds.items():
            self.rounds[round_] = self.rounds.get(round_, 0) + count
        self.violations = sorted([*self.violations, *other.violations])

    def as_json(self) -> dict[str, object]:
        """Plain values for a JSON document."""
        return {
            "profile": self.settings.profile,
            "operators": self.settings.operators,
            "faults": self.settings.faults,
            "seeds": self.seeds,
            "violations": [{"seed": seed, "text": text} for seed, text in self.violations[:KEPT_NUMBERS]],
            "violation_count": len(self.violations),
            "steps": self.steps,
            "messages": self.messages,
            "duties_ended": self.ended,
            "duties_completed": self.completed,
            "rounds": {str(round_): self.rounds[round_] for round_ in sorted(self.rounds)},
            "cpu_seconds": round(self.cpu_seconds, 2),
            "seeds_per_cpu_second": round(self.seeds / self.cpu_seconds, 1) if self.cpu_seconds else None,
        }


def run_chunk(chunk: Chunk) -> Summary:
    """Play some seeds in this process."""
    settings, seeds = chunk
    summary = Summary(settings)
    started = time.process_time()
    # Reference cycles of a run live as long as the chunk, and what was there before is not searched for any.
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        for seed in seeds:
            summary.add(run_seed(settings, seed))
    finally:
        gc.collect()
        gc.unfreeze()
        if collecting:
            gc.enable()
    summary.cpu_seconds = time.process_time() - started
    return summary


def chunks_of(settings: Sequence[Settings], first: int, count: int) -> Iterator[Chunk]:
    """The work, in pieces."""
    for each in settings:
        for start in range(first, first + count, CHUNK):
            yield each, range(start, min(start + CHUNK, first + count))


def run_batch(
    settings: Sequence[Settings],
    first: int,
    count: int,
    processes: int,
    progress: Callable[[Summary], None] | None = None,
) -> list[Summary]:
    """Play ``count`` seeds from ``first`` on with each of the settings; one summary for each."""
    summaries = {each: Summary(each) for each in settings}
    work = chunks_of(settings, first, count)

    def collect(parts: Iterator[Summary]) -> None:
        for part in parts:
            summaries[part.settings].merge(part)
            if progress is not None:
                progress(part)

    if processes <= 1:
        collect(map(run_chunk, work))
    else:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            collect(pool.imap_unordered(run_chunk, work))
    return list(summaries.values())
