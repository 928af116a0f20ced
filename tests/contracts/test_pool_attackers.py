"""What somebody could try with the staking pool to get what is not theirs, role by role; nobody gains."""

from typing import Any

import boa
import pytest
from contract_vm import RefusedError, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pool_vm import (
    ANNOUNCE_MEMBERS,
    ANNOUNCE_PARAMETERS,
    CLAIM,
    DAY,
    DEPOSIT,
    ETHER,
    EXECUTE_MEMBERS,
    EXECUTE_PARAMETERS,
    EXIT,
    FINALIZE,
    FUND,
    PAY,
    REFUND,
    REGISTER,
    REMOVE,
    REPORT,
    Limits,
    PoolVM,
    key_of,
)
from registry_vm import CLUSTER_LIQUIDATED, LIQUIDATE, NEW_CLUSTER

from ssv_pool.registry.artifacts import published_abi

pytestmark = pytest.mark.contracts

MILLI = ETHER // 1_000
FORTNIGHT = 14 * DAY
KEY = key_of(1)


def ether_of(account: str) -> int:
    return int(boa.env.get_balance(account))


def wealth(pool: PoolVM, account: str) -> int:
    """Ether of an account, what its requests are worth, and its shares at the full price."""
    worth = ether_of(account) + pool.number("convertToAssets(uint256)", pool.shares(account))
    for number in range(1, pool.number("requestCount()") + 1):
        _, receiver, _, assets, _, state = pool.withdrawal(number)
        worth += assets if receiver == account.lower() and state < 3 else 0
    return worth


class HonestPool(PoolVM):
    """A pool with somebody who only stakes."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.honest = self.account()


def running_pool(limits: Limits | None = None, stake: int = 100 * ETHER) -> HonestPool:
    """With one honest staker, a validator, and a cluster that holds an ether."""
    pool = HonestPool(limits or Limits())
    pool.stake(pool.honest, stake)
    pool.allow()
    pool.register(KEY, ETHER)
    pool.fund(KEY)
    return pool


def cash_out(pool: PoolVM, account: str, beacon: int = DEPOSIT) -> None:
    """Ask for everything, wait for the next report, and claim."""
    if pool.shares(account):
        pool.request(account, pool.shares(account))
    boa.env.time_travel(blocks=2)
    pool.send(pool.next_report(beacon))
    pool.call(FINALIZE, 256, sender=account)
    for number in range(1, pool.number("requestCount()") + 1):
        if pool.withdrawal(number)[1] == account.lower() and pool.withdrawal(number)[5] == 2:
            pool.call(CLAIM, number, sender=account)


# Whoever stakes before others do, or around a report


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stake=st.integers(10 * MILLI, 900 * ETHER),
    gain=st.integers(0, 5 * ETHER),
    refund=st.integers(0, ETHER // 2),
    leaver=st.integers(0, 50),
    order=st.permutations(("report", "refund", "finalize")),
)
def test_who_comes_before_a_gain_and_goes_after_it_gains_nothing(
    stake: int, gain: int, refund: int, leaver: int, order: list[str]
) -> None:
    pool = running_pool()
    attacker = pool.account()
    if leaver:
        pool.request(pool.honest, leaver * ETHER)
    boa.env.time_travel(seconds=DAY)
    pool.report(DEPOSIT)
    before = ether_of(attacker)
    pool.stake(attacker, stake)
    pool.give(gain)
    boa.env.time_travel(seconds=DAY)
    for step in order:
        if step == "report":
            pool.report(DEPOSIT)
        elif step == "finalize":
            pool.call(FINALIZE, 256, sender=attacker)
        elif refund:
            nonce = pool.number("clusterNonce()")
            approvals = pool.approvals("ClusterRefund", (pool.ids, refund, nonce))
            pool.in_cluster(REFUND, pool.ids, refund, pool.cluster, nonce, approvals, sender=attacker)
    if order[0] != "report":
        cash_out(pool, attacker)
        assert ether_of(attacker) <= before
    else:
        assert pool.number("withdrawalValue(uint256)", pool.shares(attacker)) <= stake


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kept=st.sampled_from((1, 1_000, 10**15 - 1, 10**15)), gift=st.integers(0, 100 * ETHER), victim=st.integers(1, 50)
)
def test_the_first_depositor_cannot_round_later_ones_away(kept: int, gift: int, victim: int) -> None:
    pool = PoolVM(Limits(operator_fee=0, treasury_fee=0))
    attacker, staker = pool.account(), pool.account()
    before = ether_of(attacker)
    pool.stake(attacker, 500 * ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    pool.request(attacker, 500 * ETHER - kept)
    boa.env.execute_code(to_address=pool.address, sender=attacker, data=b"", value=gift)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    pool.report(0)
    shares = pool.stake(staker, victim * ETHER)
    lost = victim * ETHER - pool.number("convertToAssets(uint256)", shares)
    assert lost <= 10**6, "a million of 10^18 parts at most"
    cash_out(pool, attacker, 0)
    assert ether_of(attacker) <= before + 1


def test_who_runs_from_a_loss_takes_part_in_it() -> None:
    pool = running_pool()
    runner = pool.account()
    before = ether_of(runner)
    pool.stake(runner, 100 * ETHER)
    boa.env.time_travel(seconds=DAY)
    pool.report(DEPOSIT)
    known = boa.env.evm.patch.block_number
    boa.env.time_travel(blocks=1)
    pool.request(runner, pool.shares(runner))
    boa.env.time_travel(blocks=3)
    assert pool.call(FINALIZE, 256, sender=runner) == bytes(32)
    pool.send(pool.next_report(DEPOSIT, block=known))
    assert pool.withdrawal(1)[5] == 1, "a report of before the loss lets nobody go who asked after it"
    price = pool.assets, pool.supply
    cash_out(pool, runner, DEPOSIT - 4 * ETHER)
    assert before - ether_of(runner) >= 100 * ETHER * 4 * ETHER // price[0] - ETHER // 100


def test_who_comes_after_a_loss_gets_nothing_of_those_who_had_it() -> None:
    pool = running_pool()
    attacker = pool.account()
    pool.report(DEPOSIT - 4 * ETHER)
    before = ether_of(attacker)
    pool.stake(attacker, 500 * ETHER)
    pool.report(DEPOSIT - 4 * ETHER + 2 * ETHER)
    cash_out(pool, attacker, DEPOSIT - 2 * ETHER)
    assert ether_of(attacker) <= before


def test_a_member_that_stakes_around_its_own_report_gains_no_more_than_its_fee() -> None:
    pool = running_pool()
    member = pool.members[0]
    pool.report(DEPOSIT)
    before = ether_of(member)
    pool.stake(member, 900 * ETHER)
    pool.give(10 * MILLI)
    pool.report(DEPOSIT)
    fee = pool.limits.operator_fee * 10 * MILLI // 10_000 // 4
    cash_out(pool, member)
    assert ether_of(member) <= before + fee


# A single member


def test_a_member_alone_moves_no_money() -> None:
    pool = running_pool()
    member = pool.members[0]
    nonce = pool.number("clusterNonce()")
    boa.env.time_travel(blocks=2)
    report = pool.next_report(DEPOSIT).values
    refusals = [
        (REPORT, report, pool.approvals("Report", report, (0,))),
        (PAY, pool.ids, 1, pool.cluster, nonce, pool.approvals("ClusterPayment", (pool.ids, 1, nonce), (0,))),
        (REFUND, pool.ids, 1, pool.cluster, nonce, pool.approvals("ClusterRefund", (pool.ids, 1, nonce), (0,))),
        (REMOVE, KEY, pool.ids, pool.cluster, pool.approvals("Removal", (KEY,), (0,))),
    ]
    pool.register(key_of(2), 0)
    refusals.append((FUND, *pool.funding(key_of(2), (0,))))
    held = pool.held
    for call in refusals:
        assert pool.refused(*call, sender=member) == refusal("QuorumMissing(uint256,uint256)", 1, 3), call[0]
    assert pool.refused(EXIT, [KEY], pool.ids, sender=member) == refusal("NoExitNeeded()")
    assert pool.held == held


def test_a_member_cannot_pay_operators_of_its_own() -> None:
    pool = running_pool()
    member = pool.members[0]
    dear = pool.registry.operators(member, 4, [10**14] * 4)
    refused = pool.refused(REGISTER, key_of(2), dear, b"", 4 * ETHER, NEW_CLUSTER, sender=member)
    assert refused == refusal("CommitteeNotAllowed()")
    mixed = sorted((*pool.ids[:3], dear[0]))
    refused = pool.refused(REGISTER, key_of(2), mixed, b"", 4 * ETHER, NEW_CLUSTER, sender=member)
    assert refused == refusal("CommitteeNotAllowed()")


def test_a_member_cannot_fill_a_cluster_with_keys_that_nothing_is_deposited_for() -> None:
    pool = running_pool()
    pool.register(key_of(2), 0)
    pool.register(key_of(3), 0)
    refused = pool.refused(REGISTER, key_of(4), pool.ids, b"", 0, pool.cluster, sender=pool.members[0])
    assert refused[:4] == refusal("NotEnoughFree(uint256,uint256)", 0, 0)[:4]


def test_two_of_four_that_lie_cannot_report() -> None:
    pool = running_pool()
    boa.env.time_travel(blocks=2)
    report = pool.next_report(DEPOSIT // 2).values
    refused = pool.refused(REPORT, report, pool.approvals("Report", report, (0, 1)), sender=pool.members[0])
    assert refused == refusal("QuorumMissing(uint256,uint256)", 2, 3)


def test_a_whole_quorum_that_lies_moves_the_price_slowly() -> None:
    pool = running_pool()
    boa.env.time_travel(seconds=DAY)
    before = pool.assets
    pool.send(pool.next_report(10_000 * ETHER))
    assert pool.assets - before <= before * pool.limits.yearly_gain // 10_000 // 365 + before // 10**6
    before = pool.assets
    boa.env.time_travel(blocks=2)
    values = pool.next_report(DEPOSIT).values
    values = (*values[:3], max(0, pool.number("beaconBalance()") - before // 10 - 1), *values[4:])
    refused = pool.refused(REPORT, values, pool.approvals("Report", values), sender=pool.members[0])
    assert refused[:4] == refusal("ReportOutOfBounds(int256,int256,int256)", 0, 0, 0)[:4]


# The owner


def test_the_owner_takes_no_deposits_even_with_all_the_notice_there_is() -> None:
    pool = running_pool()
    owner = pool.governor
    worst = (owner, 0, 2_000, 10_000, 5_000, 1_000)
    pool.call(ANNOUNCE_PARAMETERS, worst, sender=owner)
    boa.env.time_travel(seconds=FORTNIGHT)
    before = pool.number("convertToAssets(uint256)", pool.shares(pool.honest))
    ether = ether_of(owner)
    pool.call(EXECUTE_PARAMETERS, sender=owner)
    assert pool.number("convertToAssets(uint256)", pool.shares(pool.honest)) == before
    pool.give(10 * MILLI)
    pool.report(DEPOSIT)
    assert pool.number("convertToAssets(uint256)", pool.shares(owner)) <= 2 * MILLI, "a fifth of what was earned since"
    assert pool.number("convertToAssets(uint256)", pool.shares(pool.honest)) >= before
    assert ether_of(owner) == ether


def test_whoever_wants_can_leave_before_members_of_the_owners_choice_come() -> None:
    pool = running_pool()
    puppet = pool.account()
    pool.call(ANNOUNCE_MEMBERS, [puppet], 1, sender=pool.governor)
    pool.request(pool.honest, 60 * ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(DEPOSIT)
    before = ether_of(pool.honest)
    pool.call(CLAIM, 1, sender=pool.honest)
    assert ether_of(pool.honest) - before >= 59 * ETHER
    refused = pool.refused(EXECUTE_MEMBERS, sender=pool.governor)
    assert refused[:4] == refusal("TooEarly(uint256)", 0)[:4]


# Strangers, and everybody with every call

ROLES = ("stranger", "owner", "member", "treasury", "operator")


def values_for(kind: str, parts: list[dict[str, Any]], caller: str, pool: PoolVM, variant: int) -> Any:
    """Something a caller might pass."""
    if kind == "tuple":
        return tuple(values_for(part["type"], part.get("components", []), caller, pool, variant) for part in parts)
    return {
        "address": caller,
        "bool": True,
        "string": "x",
        "bytes": (KEY, bytes(48), b"")[variant],
        "bytes32": bytes(32),
        "bytes[]": ([], [KEY], [bytes(65)])[variant],
        "uint64[]": (pool.ids, [1, 2, 3, 4], [])[variant],
        "uint256[]": ([], [1], [1, 2])[variant],
        "address[]": [caller],
    }.get(kind, (0, 1, ETHER)[variant] if kind == "uint256" else variant)


def signature_of(entry: dict[str, Any]) -> str:
    def text(part: dict[str, Any]) -> str:
        if part["type"].startswith("tuple"):
            return f"({','.join(text(inner) for inner in part['components'])}){part['type'][5:]}"
        return str(part["type"])

    return f"{entry['name']}({','.join(text(part) for part in entry['inputs'])})"


@pytest.mark.parametrize("role", ROLES)
def test_no_call_gives_anybody_what_is_not_theirs(role: str) -> None:
    pool = running_pool()
    request = pool.request(pool.honest, 10 * ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(DEPOSIT)
    assert pool.withdrawal(request)[5] == 2
    caller = {
        "stranger": pool.account(),
        "owner": pool.governor,
        "member": pool.members[0],
        "treasury": pool.treasury,
        "operator": pool.provider,
    }[role]
    calls = [entry for entry in published_abi("StakingPool") if entry["type"] == "function"]
    changing = [entry for entry in calls if entry["stateMutability"] in ("nonpayable", "payable")]
    assert len(changing) > 25
    accepted = set()
    for entry in changing:
        for variant in range(3):
            for value in (0, ETHER) if entry["stateMutability"] == "payable" else (0,):
                arguments = [
                    values_for(part["type"], part.get("components", []), caller, pool, variant)
                    for part in entry["inputs"]
                ]
                with boa.env.anchor():
                    boa.env.set_balance(caller, 100 * ETHER)
                    mine, theirs = wealth(pool, caller), wealth(pool, pool.honest)
                    try:
                        pool.call(signature_of(entry), *arguments, sender=caller, value=value)
                    except RefusedError:
                        continue
                    accepted.add(entry["name"])
                    assert wealth(pool, caller) <= mine, f"{role} gains by {entry['name']}{arguments}"
                    assert wealth(pool, pool.honest) >= theirs, f"{role} takes by {entry['name']}{arguments}"
    assert {"stake", "approve", "claim", "finalizeWithdrawals"} <= accepted


# Operators and liquidators


def test_an_operator_that_raises_its_fee_gets_what_clusters_were_paid_and_no_more() -> None:
    pool = running_pool()
    assets = pool.assets
    for _ in range(6):
        fee = pool.registry.operator(pool.ids[0])[1] * 11 // 10 // 100_000 * 100_000
        pool.registry.call("declareOperatorFee(uint64,uint256)", pool.ids[0], fee, sender=pool.provider)
        boa.env.time_travel(seconds=7 * DAY)
        pool.registry.call("executeOperatorFee(uint64)", pool.ids[0], sender=pool.provider)
    boa.env.time_travel(blocks=10**8)
    pool.registry.call("deposit(address,uint64[],(uint32,uint64,uint64,bool,uint256))", pool.address, pool.ids,
                       pool.cluster, sender=pool.provider)  # fmt: skip
    assert sum(pool.registry.earnings(pool.ids)) <= ETHER
    assert pool.assets == assets
    assert pool.held == pool.number("buffered()")


def test_a_liquidator_gets_what_a_dry_cluster_held_and_no_more() -> None:
    pool = running_pool()
    liquidator = pool.account()
    before, assets, held = ether_of(liquidator), pool.assets, pool.held
    call = (LIQUIDATE, pool.address, pool.ids, pool.cluster)
    assert pool.registry.refused(*call, sender=liquidator) == refusal("ClusterNotLiquidatable()")
    boa.env.time_travel(blocks=ETHER // (4 * 10**9) - 21_480 + 1)
    pool.registry.call(*call, sender=liquidator)
    pool.cluster = pool.registry.cluster_of(CLUSTER_LIQUIDATED)
    assert 0 < ether_of(liquidator) - before <= 21_480 * 4 * 10**9
    assert (pool.assets, pool.held) == (assets, held)
    refused = pool.registry.refused(LIQUIDATE, pool.address, pool.ids, pool.cluster, sender=liquidator)
    assert refused == refusal("ClusterIsLiquidated()")
