"""Figures of a run, made from the operators' journals. Times in milliseconds."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.store.journal import JournalEntry

Span = tuple[str, str]

SPANS: dict[str, Span] = {
    "start_delay": ("due", "begun"),
    "commit_delay": ("consensus_started", "decided"),
    "signature": ("decided", "reconstructed"),
    "duty": ("due", "accepted"),
}
"""Latency → the two steps it lies between (see StepTime in protocol.events)."""

PHASES: dict[str, Span] = {
    "randao": ("begun", "pre_consensus"),
    "block_fetch": ("asked", "received"),
    "consensus": ("consensus_started", "decided"),
    "post_consensus": ("decided", "reconstructed"),
    "submit": ("submitted", "accepted"),
}
"""Phase of a block proposal → the two steps it lies between."""

ROLES: dict[str, frozenset[int]] = {
    "attester": frozenset({RunnerRole.COMMITTEE}),
    "proposer": frozenset({RunnerRole.PROPOSER}),
    "sync_committee": frozenset({RunnerRole.COMMITTEE}),
    "aggregator": frozenset({RunnerRole.AGGREGATOR, RunnerRole.AGGREGATOR_COMMITTEE}),
    "contribution": frozenset({RunnerRole.SYNC_COMMITTEE_CONTRIBUTION, RunnerRole.AGGREGATOR_COMMITTEE}),
    "exit": frozenset({RunnerRole.VOLUNTARY_EXIT}),
}
"""Kind of duty → the runners that do it. Some do two kinds at once, and their stories are told for both."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Median and tail of one latency, milliseconds."""

    count: int
    p50: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Distribution | None":
        """The distribution of ``values``; None when there are none."""
        if not values:
            return None
        return cls(len(values), percentile(values, 0.50), percentile(values, 0.99), max(values))

    def as_dict(self) -> dict[str, float]:
        """For JSON, rounded to a tenth of a millisecond."""
        return {"p50": round(self.p50, 1), "p99": round(self.p99, 1), "max": round(self.maximum, 1), "n": self.count}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed (nearest rank). ``values`` must not be empty."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def span_ms(entry: JournalEntry, span: Span) -> float | None:
    """Milliseconds between two steps of a duty; None when it did not reach both."""
    start, end = (entry.steps.get(step) for step in span)
    return None if start is None or end is None else (end - start) * 1000


def latencies(entries: Iterable[JournalEntry], spans: Mapping[str, Span] = SPANS) -> dict[str, list[float]]:
    """Latency → its values over all duties that have it, milliseconds."""
    listed = list(entries)
    return {
        name: [value for entry in listed if (value := span_ms(entry, span)) is not None] for name, span in spans.items()
    }


def distributions(
    entries: Iterable[JournalEntry], spans: Mapping[str, Span] = SPANS
) -> dict[str, dict[str, float] | None]:
    """Latency → median and tail over all duties, for JSON; None where none has it."""
    found = {name: Distribution.of(values) for name, values in latencies(entries, spans).items()}
    return {name: None if figures is None else figures.as_dict() for name, figures in found.items()}


def of_kind(entries: Iterable[JournalEntry], kind: str) -> list[JournalEntry]:
    """The duties of one kind of ``ROLES``."""
    return [entry for entry in entries if entry.role in ROLES[kind]]


def decided_rounds(journals: Mapping[int, Sequence[JournalEntry]]) -> dict[int, int]:
    """Decided round → number of duties. A duty counts once, with the round most of its operators name."""
    rounds: dict[str, list[int]] = {}
    for entries in journals.values():
        for entry in entries:
            if "decided" in entry.steps and entry.round:
                rounds.setdefault(entry.key, []).append(entry.round)
    return dict(sorted(Counter(statistics.mode(seen) for seen in rounds.values()).items()))


def reasons(entries: Iterable[JournalEntry], wanted: Callable[[JournalEntry], bool] = lambda _: True) -> dict[str, int]:
    """Reason → number of duties that did not complete for it."""
    counts = Counter(entry.reason for entry in entries if entry.reason not in (None, "none") and wanted(entry))
    return {str(reason): count for reason, count in counts.most_common()}
