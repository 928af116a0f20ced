"""A report's figures, and that all members come to the same ones."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.pool.approvals import Report
from ssv_pool.pool.report import LastReport, ReportFacts, compute_report, reference_epoch
from ssv_pool.pool.view import BeaconFacts

ETHER = 10**18
FIRST = LastReport(0, 0, 0, 0)
KEYS = tuple(bytes([number]) * 48 for number in range(1, 5))


def beacon(status: str, gwei: int) -> BeaconFacts:
    return BeaconFacts(status, gwei, 0, 2**64 - 1)


FACTS = ReportFacts(
    slot=320,
    block_number=900,
    funded=KEYS[:3],
    exit_requested=(KEYS[1],),
    state={KEYS[0]: beacon("active_ongoing", 32_010_000_001), KEYS[1]: beacon("withdrawal_done", 0)},
    deposited_total=96 * ETHER,
    received_total=5 * ETHER,
    unbooked=33 * ETHER,
)


def test_balances_count_as_they_are_and_a_deposit_that_is_on_its_way_32_eth() -> None:
    assert compute_report(FIRST, FACTS) == Report(
        number=1,
        slot=320,
        block_number=900,
        beacon_balance=32_010_000_001 * 10**9 + 32 * ETHER,
        deposits_counted=96 * ETHER,
        received=38 * ETHER,
        exited=1,
    )


def test_who_exits_unasked_or_is_not_withdrawn_yet_does_not_count_as_exited() -> None:
    unasked = replace(FACTS, exit_requested=())
    waiting = replace(FACTS, state={KEYS[1]: beacon("withdrawal_possible", 32 * 10**9)})
    assert [report.exited for facts in (unasked, waiting) if (report := compute_report(FIRST, facts))] == [0, 0]


def test_who_counted_as_exited_once_still_does_when_a_late_reward_came() -> None:
    back = replace(FACTS, state={KEYS[1]: beacon("withdrawal_possible", 7)})
    report = compute_report(LastReport(4, 100, 300, 1), back)
    assert report is not None
    assert (report.number, report.exited) == (5, 1)


def test_there_is_no_second_report_of_a_slot_or_block() -> None:
    assert compute_report(LastReport(1, 320, 800, 0), FACTS) is None
    assert compute_report(LastReport(1, 300, 900, 0), FACTS) is None
    assert compute_report(LastReport(1, 319, 899, 0), FACTS) is not None


@given(st.permutations(KEYS), st.permutations(KEYS))
def test_the_order_of_what_was_read_changes_nothing(funded: list[bytes], exits: list[bytes]) -> None:
    facts = replace(FACTS, funded=funded, exit_requested=exits, state=dict(reversed(FACTS.state.items())))
    assert compute_report(FIRST, facts) == compute_report(FIRST, replace(facts, funded=KEYS, exit_requested=KEYS))


@given(st.integers(0, 10**6), st.integers(1, 500))
def test_the_reference_is_the_latest_final_epoch_of_its_kind(finalized: int, every: int) -> None:
    epoch = reference_epoch(finalized, every)
    assert epoch % every == 0
    assert epoch <= finalized < epoch + every
