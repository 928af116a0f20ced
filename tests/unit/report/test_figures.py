"""Figures from journals: percentiles, latencies, rounds, reasons."""

from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.report.figures import Distribution, decided_rounds, latencies, percentile, reasons
from ssv_pool.store.journal import JournalEntry


def entry(key: str, round_: int = 1, reason: str | None = None, **steps: float) -> JournalEntry:
    return JournalEntry(key, 0, Slot(9), round=round_, reason=reason, steps=steps)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_latencies_are_milliseconds_between_steps() -> None:
    entries = [
        entry("a", due=10.0, begun=10.003, consensus_started=10.01, decided=10.06, reconstructed=10.07, accepted=10.1),
        entry("b", due=10.0, begun=10.001),
    ]
    found = {name: [round(value, 3) for value in values] for name, values in latencies(entries).items()}
    assert found == {"start_delay": [3.0, 1.0], "commit_delay": [50.0], "signature": [10.0], "duty": [100.0]}


def test_a_distribution_of_nothing_is_none() -> None:
    assert Distribution.of([]) is None
    assert Distribution.of([2.0, 1.0]) == Distribution(2, 1.0, 2.0, 2.0)


def test_a_duty_counts_once_with_the_round_most_operators_name() -> None:
    journals = {
        1: [entry("a", 1, decided=1.0), entry("b", 2, decided=1.0)],
        2: [entry("a", 1, decided=1.0), entry("b", 2, decided=1.0)],
        3: [entry("a", 2, decided=1.0), entry("c", 4)],
    }
    assert decided_rounds(journals) == {1: 1, 2: 1}


def test_reasons_are_counted_where_a_duty_did_not_complete() -> None:
    assert reasons([entry("a", reason="none"), entry("b", reason="no_proposal"), entry("c")]) == {"no_proposal": 1}
