"""The staking pool's reports: what they may say, gains and losses and their bounds, fees."""

from dataclasses import replace

import boa
import pytest
from contract_vm import event, refusal
from pool_vm import (
    DAY,
    DEFERRED,
    DEPOSIT,
    ETHER,
    EXIT,
    REPORT,
    REPORT_FIELDS,
    REPORTED,
    YEAR,
    Limits,
    PoolVM,
    Report,
    key_of,
)

pytestmark = pytest.mark.contracts

MILLI = ETHER // 1_000
REFUSED_BALANCE = "ReportExceedsBalance(uint256,uint256)"
OUT_OF_BOUNDS = "ReportOutOfBounds(int256,int256,int256)"


@pytest.fixture
def pool() -> PoolVM:
    """With one validator and 8 ether; what was staked is what there is."""
    pool = PoolVM(fees=(0,) * 4)
    pool.stake(pool.account(), 40 * ETHER)
    pool.allow()
    key = key_of(1)
    pool.register(key, 0)
    pool.fund(key)
    return pool


def refused(pool: PoolVM, report: Report) -> bytes:
    return pool.refused(REPORT, report.values, pool.approvals("Report", report.values), sender=pool.provider)


def bound(pool: PoolVM) -> int:
    """The highest gain that may be booked now."""
    _, when = pool.read("lastReport()", [REPORT_FIELDS, "uint256"])
    return max(pool.assets, 32 * ETHER) * pool.limits.yearly_gain * (boa.env.timestamp - when) // (10_000 * YEAR)


# What a report may say


def test_a_report_is_booked_and_kept(pool: PoolVM) -> None:
    boa.env.time_travel(seconds=DAY)
    pool.give(3 * MILLI)
    report = pool.next_report(DEPOSIT + MILLI)
    supply = pool.supply
    pool.send(report)
    booked = pool.logs[-1]
    fees = 4 * MILLI // 10
    minted = fees * supply // (40 * ETHER + 4 * MILLI - fees)
    assert booked == event(
        REPORTED, 1, report.slot, report.block, 4 * MILLI, 40 * ETHER + 4 * MILLI, supply + minted, minted, indexed=1
    )
    assert pool.number("reportCount()") == 1
    last = pool.read("lastReport()", [REPORT_FIELDS, "uint256"])
    assert last == (report.values, boa.env.timestamp)
    assert pool.number("beaconBalance()") == DEPOSIT + MILLI
    assert pool.number("depositsCounted()") == DEPOSIT
    assert pool.number("receivedTotal()") == 3 * MILLI
    assert pool.number("unbooked()") == 0
    assert pool.number("buffered()") == 8 * ETHER + 3 * MILLI


def test_a_report_is_booked_once(pool: PoolVM) -> None:
    boa.env.time_travel(seconds=DAY)
    report = pool.next_report(DEPOSIT + MILLI)
    pool.send(report)
    assert refused(pool, report) == refusal("WrongReportNumber(uint64)", 2)
    assert refused(pool, replace(report, number=3)) == refusal("WrongReportNumber(uint64)", 2)
    assert refused(pool, replace(report, number=2)) == refusal("ReportTooOld()")


def test_nothing_goes_back() -> None:
    pool = PoolVM(fees=(0,) * 4)
    staker = pool.account()
    pool.stake(staker, 40 * ETHER)
    pool.allow()
    pool.register(key_of(1), 0)
    pool.fund(key_of(1))
    pool.request(staker, 10 * ETHER)
    pool.call(EXIT, [key_of(1)], pool.ids, sender=pool.members[0])
    pool.give(DEPOSIT + MILLI)
    pool.report(0, exited=1)
    boa.env.time_travel(seconds=DAY)
    good = pool.next_report(0)
    last = Report(*pool.read("lastReport()", [REPORT_FIELDS, "uint256"])[0])
    assert (last.exited, last.counted, last.received) == (1, DEPOSIT, DEPOSIT + MILLI)
    for changed in (
        {"block": last.block},
        {"counted": last.counted - 1},
        {"received": last.received - 1},
        {"exited": 0},
    ):
        assert refused(pool, replace(good, **changed)) == refusal("ReportTooOld()")
    pool.send(good)


def test_a_wrong_slot_keeps_no_later_report_out(pool: PoolVM) -> None:
    pool.send(replace(pool.next_report(DEPOSIT), slot=2**64 - 1))
    boa.env.time_travel(blocks=2)
    pool.send(replace(pool.next_report(DEPOSIT), slot=7))
    assert pool.number("reportCount()") == 2


def test_nothing_is_of_the_future(pool: PoolVM) -> None:
    good = pool.next_report(DEPOSIT)
    for changed in (
        {"block": boa.env.evm.patch.block_number},
        {"counted": DEPOSIT + 1},
        {"beacon": 2**128 + 1},
        {"exited": 1},
    ):
        assert refused(pool, replace(good, **changed)) == refusal("ReportFromFuture()")
    pool.send(good)


def test_a_report_that_was_kept_back_is_worth_nothing(pool: PoolVM) -> None:
    report = pool.next_report(DEPOSIT)
    boa.env.time_travel(blocks=7_200)
    assert refused(pool, report) == refusal("ReportTooOld()")
    report = pool.next_report(DEPOSIT)
    boa.env.time_travel(blocks=7_199)
    pool.send(report)


def test_what_has_not_come_in_is_not_booked(pool: PoolVM) -> None:
    pool.give(MILLI)
    boa.env.time_travel(seconds=DAY)
    report = pool.next_report(DEPOSIT)
    assert refused(pool, replace(report, received=MILLI + 1)) == refusal(REFUSED_BALANCE, MILLI + 1, MILLI)
    pool.send(report)


# Gains


def test_a_high_gain_is_booked_later(pool: PoolVM) -> None:
    pool.give(ETHER)
    boa.env.time_travel(seconds=DAY)
    most = bound(pool)
    assert pool.read("reportBounds()", ["int256", "int256"]) == (-4 * ETHER, most)
    report = pool.next_report(DEPOSIT)
    pool.send(report)
    assert pool.logs[0] == event(DEFERRED, 1, ETHER - most, indexed=1)
    assert pool.assets == 40 * ETHER + most
    assert pool.number("receivedTotal()") == most
    assert pool.number("unbooked()") == ETHER - most
    boa.env.time_travel(seconds=YEAR)
    pool.send(pool.next_report(DEPOSIT))
    assert pool.assets == 41 * ETHER
    assert pool.number("unbooked()") == 0


def test_a_high_balance_of_the_validators_is_booked_later(pool: PoolVM) -> None:
    pool.give(MILLI)
    boa.env.time_travel(seconds=DAY)
    most = bound(pool)
    pool.send(pool.next_report(DEPOSIT + 2 * ETHER))
    assert pool.logs[0] == event(DEFERRED, 1, 2 * ETHER + MILLI - most, indexed=1)
    assert pool.number("beaconBalance()") == DEPOSIT + most
    assert (pool.number("unbooked()"), pool.number("receivedTotal()")) == (MILLI, 0)
    boa.env.time_travel(seconds=YEAR)
    pool.send(pool.next_report(DEPOSIT + 2 * ETHER))
    assert pool.assets == 42 * ETHER + MILLI


def test_a_withdrawal_is_no_gain(pool: PoolVM) -> None:
    boa.env.time_travel(seconds=DAY)
    pool.give(DEPOSIT + MILLI)
    pool.send(pool.next_report(0))
    assert pool.assets == 40 * ETHER + MILLI
    assert pool.number("buffered()") == 40 * ETHER + MILLI


def test_a_deposit_after_the_reports_block_is_no_gain_and_no_loss(pool: PoolVM) -> None:
    boa.env.time_travel(seconds=DAY)
    report = pool.next_report(DEPOSIT)
    pool.stake(pool.account(), 32 * ETHER)
    pool.register(key_of(2), 0)
    pool.fund(key_of(2))
    pool.send(report)
    assert pool.assets == 72 * ETHER
    pool.report(2 * DEPOSIT)
    assert pool.assets == 72 * ETHER


# Losses


def test_losses_have_a_bound(pool: PoolVM) -> None:
    boa.env.time_travel(seconds=DAY)
    most = bound(pool)
    report = pool.next_report(DEPOSIT - 4 * ETHER - 1)
    assert refused(pool, report) == refusal(OUT_OF_BOUNDS, -4 * ETHER - 1, -4 * ETHER, most)
    pool.send(replace(report, beacon=DEPOSIT - 4 * ETHER))
    assert pool.assets == 36 * ETHER
    assert pool.supply == 40 * ETHER, "no fees on a loss"


# Fees


def test_fees_are_shares_worth_their_part_of_the_gain(pool: PoolVM) -> None:
    pool.give(10 * MILLI)
    pool.report(DEPOSIT)
    operators = [pool.number("convertToAssets(uint256)", pool.shares(member)) for member in pool.members]
    treasury = pool.number("convertToAssets(uint256)", pool.shares(pool.treasury))
    for paid, due in ((sum(operators), MILLI // 2), (treasury, MILLI // 2)):
        assert abs(paid - due) <= 10, "rounded"
    assert len({pool.shares(member) for member in pool.members}) == 1


def test_without_fees_nothing_is_minted() -> None:
    pool = PoolVM(Limits(operator_fee=0, treasury_fee=0))
    staker = pool.account()
    pool.stake(staker, 10 * ETHER)
    pool.give(MILLI)
    pool.report(0)
    assert (pool.supply, pool.assets) == (10 * ETHER, 10 * ETHER + MILLI)
    assert pool.logs == []


def test_a_gain_that_no_stake_has_earned_is_the_treasurys() -> None:
    pool = PoolVM()
    pool.give(MILLI)
    pool.report(0)
    assert (pool.supply, pool.assets, pool.shares(pool.treasury)) == (MILLI, MILLI, MILLI)
    assert [pool.shares(member) for member in pool.members] == [0] * 4


def test_the_owner_of_the_last_wei_of_shares_cannot_raise_their_price() -> None:
    pool = PoolVM(Limits(operator_fee=0, treasury_fee=0))
    staker, victim = pool.account(), pool.account()
    pool.stake(staker, 900 * ETHER)
    pool.give(ETHER)
    pool.request(staker, 900 * ETHER - 1)
    boa.env.time_travel(blocks=2)
    pool.report(0, seconds=30 * DAY)
    assert pool.shares(staker) == 1
    assert pool.number("convertToAssets(uint256)", 1) <= 2
    shares = pool.stake(victim, 3 * ETHER)
    assert 3 * ETHER - pool.number("convertToAssets(uint256)", shares) <= 2
