"""Figures from journals: percentiles, latencies, rounds, reasons."""

from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.report.figures import (
    PHASES,
    ROLES,
    Distribution,
    decided_rounds,
    distributions,
    latencies,
    of_kind,
    percentile,
    reasons,
)
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


def test_the_phases_of_a_proposal() -> None:
    steps = {"begun": 1.0, "pre_consensus": 1.2, "asked": 1.2, "received": 1.5, "consensus_started": 1.5}
    later = {"decided": 1.6, "reconstructed": 1.7, "submitted": 1.8, "accepted": 2.0}
    found = distributions([entry("a", **steps, **later), entry("b", **steps)], PHASES)
    assert {name: figures and figures["max"] for name, figures in found.items()} == {
        "randao": 200.0,
        "block_fetch": 300.0,
        "consensus": 100.0,
        "post_consensus": 100.0,
        "submit": 200.0,
    }
    assert [figures and figures["n"] for figures in found.values()] == [2, 2, 1, 1, 1]
    assert distributions([], PHASES) == dict.fromkeys(PHASES)


def test_a_story_is_told_for_every_kind_of_duty_that_its_runner_does() -> None:
    entries = [JournalEntry(str(role), role, Slot(9)) for role in range(7)]
    found = {kind: [item.role for item in of_kind(entries, kind)] for kind in ROLES}
    assert found == {
        "attester": [0],
        "proposer": [2],
        "sync_committee": [0],
        "aggregator": [1, 6],
        "contribution": [3, 6],
        "exit": [5],
    }
