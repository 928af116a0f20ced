"""The registry's money: fees and their changes, settlement, liquidation, earnings, whitelists, parameters."""

from typing import Any

import boa
import pytest
from contract_vm import event, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_vm import (
    BURN_RATE,
    CLUSTER_DEPOSITED,
    CLUSTER_LIQUIDATED,
    CLUSTER_REACTIVATED,
    CLUSTER_WITHDRAWN,
    DEPOSIT,
    GET_BALANCE,
    LIQUIDATABLE,
    LIQUIDATE,
    NEW_CLUSTER,
    REACTIVATE,
    REGISTER,
    REMOVE,
    REMOVE_OPERATOR,
    UNIT,
    WITHDRAW,
    RegistryVM,
)

pytestmark = pytest.mark.contracts

KEYS = [bytes([number]) * 48 for number in range(1, 10)]
ETHER = 10**18
FEES = [10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9]
NETWORK_FEE = 5 * 10**8
THRESHOLD = 21_480
BURN = sum(FEES) + NETWORK_FEE
OPERATOR_FEE_DECLARED = "OperatorFeeDeclared(address,uint64,uint256,uint256)"
OPERATOR_FEE_EXECUTED = "OperatorFeeExecuted(address,uint64,uint256,uint256)"
OPERATOR_WITHDRAWN = "OperatorWithdrawn(address,uint64,uint256)"


@pytest.fixture
def registry() -> RegistryVM:
    """A registry with a network fee and the shortest liquidation threshold; its deployer owns it."""
    registry = RegistryVM()
    registry.call("updateNetworkFee(uint256)", NETWORK_FEE, sender=boa.env.eoa)
    registry.call("updateLiquidationThresholdPeriod(uint64)", THRESHOLD, sender=boa.env.eoa)
    return registry


@pytest.fixture
def owner(registry: RegistryVM) -> str:
    return registry.account()


@pytest.fixture
def provider(registry: RegistryVM) -> str:
    """Owns the operators."""
    return registry.account()


@pytest.fixture
def ids(registry: RegistryVM, provider: str) -> list[int]:
    return registry.operators(provider, 4, FEES)


def pass_blocks(count: int) -> None:
    boa.env.time_travel(blocks=count)


def held(registry: RegistryVM) -> int:
    return int(boa.env.get_balance(registry.contract.address))


# Settlement


def test_cluster_pays_operators_and_network_for_every_block(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:3], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(1_000)
    assert registry.number(GET_BALANCE, owner, ids, cluster) == ETHER - 3 * 1_000 * BURN
    assert registry.number(BURN_RATE, owner, ids, cluster) == 3 * BURN
    assert registry.earnings(ids) == [0] * 4, "clusters pay when something is done with them"

    registry.call(DEPOSIT, owner, ids, cluster, sender=provider)

    after = registry.cluster_of(CLUSTER_DEPOSITED)
    assert after[4] == ETHER - 3 * 1_000 * BURN
    assert registry.earnings(ids) == [3 * 1_000 * fee for fee in FEES]
    assert registry.number("getNetworkEarnings()") == 3 * 1_000 * NETWORK_FEE
    assert (after[2] - cluster[2]) * UNIT == 1_000 * sum(FEES)
    assert (after[1] - cluster[1]) * UNIT == 1_000 * NETWORK_FEE
    assert held(registry) == ETHER


def test_nothing_is_paid_twice_in_a_block(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(7)
    for _ in range(2):
        registry.call(DEPOSIT, owner, ids, cluster, sender=owner, value=5)
        cluster = registry.cluster_of(CLUSTER_DEPOSITED)
    assert registry.earnings(ids) == [7 * fee for fee in FEES]
    assert cluster[4] == ETHER - 7 * BURN + 10


def test_more_validators_pay_from_when_they_came(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(10)
    cluster = registry.register(owner, KEYS[1:4], ids, cluster)
    pass_blocks(10)
    registry.call(REMOVE, KEYS[0], ids, cluster, sender=owner)
    assert registry.earnings(ids) == [(10 * 1 + 10 * 4) * fee for fee in FEES]


def test_a_dry_cluster_pays_what_it_has_and_nobody_else_pays_for_it(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    rich = registry.account()
    kept = registry.register(rich, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    enough = THRESHOLD * BURN + 12_345
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=enough)
    pass_blocks(10 * THRESHOLD)
    assert registry.number(GET_BALANCE, owner, ids, cluster) == 0

    registry.call(DEPOSIT, owner, ids, cluster, sender=provider)

    after = registry.cluster_of(CLUSTER_DEPOSITED)
    assert after[4] == enough % UNIT, "less than a unit cannot be booked"
    paid = enough // UNIT * UNIT
    earned = registry.earnings(ids)
    assert earned == [paid // UNIT * fee // BURN * UNIT for fee in FEES]
    assert sum(earned) + registry.number("getNetworkEarnings()") == paid
    assert registry.number(GET_BALANCE, rich, ids, kept) == ETHER - 10 * THRESHOLD * BURN
    assert held(registry) == ETHER + enough


# Balance


def test_a_cluster_must_be_able_to_pay_for_the_threshold(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    needed = 2 * THRESHOLD * BURN
    call = ("bulkRegisterValidator(bytes[],uint64[],bytes[],(uint32,uint64,uint64,bool,uint256))", KEYS[:2], ids)
    too_little = registry.refused(*call, [b"", b""], NEW_CLUSTER, sender=owner, value=needed - 1)
    assert too_little == refusal("InsufficientBalance()")
    cluster = registry.register(owner, KEYS[:2], ids, NEW_CLUSTER, value=needed + 10)
    assert registry.refused(WITHDRAW, ids, 11, cluster, sender=owner) == refusal("InsufficientBalance()")
    registry.call(WITHDRAW, ids, 10, cluster, sender=owner)


@settings(max_examples=25, deadline=None)
@given(
    validators=st.integers(1, 3),
    over=st.integers(0, 10**6),
    blocks=st.integers(0, 200),
    part=st.floats(0, 1),
    collateral=st.sampled_from([0, 1, ETHER // 100]),
)
def test_no_withdrawal_leaves_a_cluster_that_can_be_liquidated(
    validators: int, over: int, blocks: int, part: float, collateral: int
) -> None:
    """The owner takes as much as it may: then nobody can end the cluster in this block, and one wei more is refused."""
    with boa.env.anchor():
        registry = RegistryVM()
        owner, liquidator = registry.account(), registry.account()
        ids = registry.operators(boa.env.eoa, 4, FEES)
        registry.call("updateNetworkFee(uint256)", NETWORK_FEE, sender=boa.env.eoa)
        registry.call("updateLiquidationThresholdPeriod(uint64)", THRESHOLD, sender=boa.env.eoa)
        registry.call("updateMinimumLiquidationCollateral(uint256)", collateral, sender=boa.env.eoa)
        needed = max(validators * THRESHOLD * BURN, collateral)
        value = needed + over + validators * blocks * BURN
        cluster = registry.register(owner, KEYS[:validators], ids, NEW_CLUSTER, value=value)
        pass_blocks(blocks)
        assert registry.refused(WITHDRAW, ids, over + 1, cluster, sender=owner) == refusal("InsufficientBalance()")
        registry.call(WITHDRAW, ids, int(over * part), cluster, sender=owner)
        after = registry.cluster_of(CLUSTER_WITHDRAWN)
        rest = over - int(over * part)
        registry.call(WITHDRAW, ids, rest, after, sender=owner)
        after = registry.cluster_of(CLUSTER_WITHDRAWN)
        assert after[4] == needed
        assert registry.number(LIQUIDATABLE, owner, ids, after) == 0
        ended = registry.refused(LIQUIDATE, owner, ids, after, sender=liquidator)
        assert ended == refusal("ClusterNotLiquidatable()")


def test_collateral_is_asked_whatever_the_fees(registry: RegistryVM, owner: str, provider: str) -> None:
    registry.call("updateMinimumLiquidationCollateral(uint256)", ETHER, sender=boa.env.eoa)
    registry.call("updateNetworkFee(uint256)", 0, sender=boa.env.eoa)
    free = registry.operators(provider, 4)
    short = registry.refused(REGISTER, KEYS[0], free, b"", NEW_CLUSTER, sender=owner, value=ETHER - 1)
    assert short == refusal("InsufficientBalance()")
    cluster = registry.register(owner, KEYS[:1], free, NEW_CLUSTER, value=ETHER)
    registry.call(REMOVE, KEYS[0], free, cluster, sender=owner)
    empty = (0, *cluster[1:])
    registry.call(WITHDRAW, free, ETHER, empty, sender=owner)


def test_anybody_deposits_and_only_the_owner_withdraws(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    registry.call(DEPOSIT, owner, ids, cluster, sender=provider, value=77)
    after = (*cluster[:4], ETHER + 77)
    assert registry.logs == [event(CLUSTER_DEPOSITED, owner, ids, 77, after, indexed=1)]
    assert registry.refused(WITHDRAW, ids, 77, after, sender=provider) == refusal("ClusterDoesNotExist()")


# Liquidation


def test_liquidation_pays_whoever_does_it_and_stops_the_cluster(
    registry: RegistryVM, owner: str, ids: list[int]
) -> None:
    liquidator = registry.account()
    cluster = registry.register(owner, KEYS[:2], ids, NEW_CLUSTER, value=2 * (THRESHOLD + 100) * BURN)
    pass_blocks(100)
    early = registry.refused(LIQUIDATE, owner, ids, cluster, sender=liquidator)
    assert early == refusal("ClusterNotLiquidatable()")
    assert registry.number(LIQUIDATABLE, owner, ids, cluster) == 0
    pass_blocks(1)
    assert registry.number(LIQUIDATABLE, owner, ids, cluster) == 1
    before = boa.env.get_balance(liquidator)

    registry.call(LIQUIDATE, owner, ids, cluster, sender=liquidator)

    stopped = (2, 0, 0, False, 0)
    assert registry.logs == [event(CLUSTER_LIQUIDATED, owner, ids, stopped, indexed=1)]
    assert boa.env.get_balance(liquidator) - before == 2 * (THRESHOLD - 1) * BURN
    assert [registry.operator(number)[2] for number in ids] == [0] * 4
    assert registry.earnings(ids) == [2 * 101 * fee for fee in FEES]
    assert registry.refused(LIQUIDATE, owner, ids, stopped, sender=owner) == refusal("ClusterIsLiquidated()")
    assert registry.refused(REGISTER, KEYS[5], ids, b"", stopped, sender=owner) == refusal("ClusterIsLiquidated()")
    assert registry.refused(WITHDRAW, ids, 0, stopped, sender=owner) == refusal("ClusterIsLiquidated()")


def test_reactivation_asks_for_the_threshold_and_nothing_for_the_pause(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:2], ids, NEW_CLUSTER, value=ETHER)
    active = registry.refused(REACTIVATE, ids, cluster, sender=owner)
    assert active == refusal("ClusterAlreadyEnabled()")
    registry.call(LIQUIDATE, owner, ids, cluster, sender=owner)
    stopped = registry.cluster_of(CLUSTER_LIQUIDATED)
    registry.call(REMOVE_OPERATOR, ids[0], sender=provider)
    pass_blocks(5_000)
    earned = registry.earnings(ids)
    needed = 2 * THRESHOLD * (BURN - FEES[0])
    short = registry.refused(REACTIVATE, ids, stopped, sender=owner, value=needed - 1)
    assert short == refusal("InsufficientBalance()")

    registry.call(REACTIVATE, ids, stopped, sender=owner, value=needed)

    after = registry.cluster_of(CLUSTER_REACTIVATED)
    assert (after[0], after[3], after[4]) == (2, True, needed)
    assert [registry.operator(number)[2] for number in ids] == [0, 2, 2, 2]
    pass_blocks(9)
    registry.call(DEPOSIT, owner, ids, after, sender=owner)
    gained = [now - then for now, then in zip(registry.earnings(ids), earned, strict=True)]
    assert gained == [0] + [2 * 9 * fee for fee in FEES[1:]]


def test_a_private_operator_is_asked_again_at_reactivation(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    registry.call(LIQUIDATE, owner, ids, cluster, sender=owner)
    stopped = registry.cluster_of(CLUSTER_LIQUIDATED)
    registry.call("setOperatorsPrivateUnchecked(uint64[])", ids[2:3], sender=provider)
    closed = registry.refused(REACTIVATE, ids, stopped, sender=owner, value=ETHER)
    assert closed == refusal("CallerNotWhitelistedWithData(uint64)", ids[2])
    registry.call("setOperatorsWhitelists(uint64[],address[])", ids[2:3], [owner], sender=provider)
    registry.call(REACTIVATE, ids, stopped, sender=owner, value=ETHER)


# Operators' fees and earnings


def test_a_fee_rises_after_its_declaration_has_waited(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    new = FEES[0] * 11 // 10
    declare, execute = "declareOperatorFee(uint64,uint256)", "executeOperatorFee(uint64)"
    assert registry.refused(execute, ids[0], sender=provider) == refusal("NoFeeDeclared()")
    for fee, error in [
        (new + UNIT, "FeeExceedsIncreaseLimit()"),
        (FEES[0], "SameFeeChangeNotAllowed()"),
        (FEES[0] + 1, "MaxPrecisionExceeded()"),
        (UNIT, "FeeTooLow()"),
    ]:
        assert registry.refused(declare, ids[0], fee, sender=provider) == refusal(error)
    registry.call(declare, ids[0], new, sender=provider)
    at = boa.env.evm.patch.block_number
    assert registry.logs == [event(OPERATOR_FEE_DECLARED, provider, ids[0], at, new, indexed=2)]
    assert registry.refused(execute, ids[0], sender=provider) == refusal("ApprovalNotWithinTimeframe()")
    boa.env.time_travel(seconds=7 * 86_400, block_delta=12)
    passed = boa.env.evm.patch.block_number - at

    registry.call(execute, ids[0], sender=provider)

    at += passed
    assert registry.logs == [event(OPERATOR_FEE_EXECUTED, provider, ids[0], at, new, indexed=2)]
    assert registry.operator(ids[0])[1] == new
    pass_blocks(3)
    registry.call(DEPOSIT, owner, ids, cluster, sender=owner)
    assert registry.earnings(ids)[0] == passed * FEES[0] + 3 * new


def test_a_declared_fee_lapses_and_can_be_taken_back(registry: RegistryVM, provider: str, ids: list[int]) -> None:
    declare, cancel = "declareOperatorFee(uint64,uint256)", "cancelDeclaredOperatorFee(uint64)"
    assert registry.refused(cancel, ids[0], sender=provider) == refusal("NoFeeDeclared()")
    registry.call(declare, ids[0], FEES[0] + UNIT, sender=provider)
    registry.call(cancel, ids[0], sender=provider)
    assert registry.refused("executeOperatorFee(uint64)", ids[0], sender=provider) == refusal("NoFeeDeclared()")
    registry.call(declare, ids[0], FEES[0] + UNIT, sender=provider)
    boa.env.time_travel(seconds=14 * 86_400 + 1)
    late = registry.refused("executeOperatorFee(uint64)", ids[0], sender=provider)
    assert late == refusal("ApprovalNotWithinTimeframe()")


def test_a_fee_falls_at_once_and_a_free_operator_stays_free(
    registry: RegistryVM, provider: str, ids: list[int]
) -> None:
    reduce, declare = "reduceOperatorFee(uint64,uint256)", "declareOperatorFee(uint64,uint256)"
    assert registry.refused(reduce, ids[1], FEES[1], sender=provider) == refusal("FeeIncreaseNotAllowed()")
    registry.call(reduce, ids[1], 10**9, sender=provider)
    assert registry.operator(ids[1])[1] == 10**9
    registry.call(reduce, ids[1], 0, sender=provider)
    assert registry.refused(declare, ids[1], 10**9, sender=provider) == refusal("FeeIncreaseNotAllowed()")


def test_a_lower_maximum_stops_a_fee_that_was_declared_before(
    registry: RegistryVM, provider: str, ids: list[int]
) -> None:
    registry.call("declareOperatorFee(uint64,uint256)", ids[3], FEES[3] + UNIT, sender=provider)
    registry.call("updateMaximumOperatorFee(uint256)", FEES[3], sender=boa.env.eoa)
    boa.env.time_travel(seconds=8 * 86_400)
    assert registry.refused("executeOperatorFee(uint64)", ids[3], sender=provider) == refusal("FeeTooHigh()")


def test_earnings_are_their_owners_alone(registry: RegistryVM, owner: str, provider: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(100)
    registry.call(DEPOSIT, owner, ids, cluster, sender=owner)
    take, everything = "withdrawOperatorEarnings(uint64,uint256)", "withdrawAllOperatorEarnings(uint64)"
    stranger = refusal("CallerNotOwnerWithData(address,address)", owner, provider)
    assert registry.refused(everything, ids[0], sender=owner) == stranger
    for amount, error in [
        (0, "InsufficientBalance()"),
        (UNIT - 1, "MaxPrecisionExceeded()"),
        (100 * FEES[0] + UNIT, "InsufficientBalance()"),
    ]:
        assert registry.refused(take, ids[0], amount, sender=provider) == refusal(error)
    before = boa.env.get_balance(provider)
    registry.call(take, ids[0], UNIT, sender=provider)
    assert registry.logs == [event(OPERATOR_WITHDRAWN, provider, ids[0], UNIT, indexed=2)]
    registry.call(everything, ids[0], sender=provider)
    assert boa.env.get_balance(provider) - before == 100 * FEES[0]
    assert registry.refused(everything, ids[0], sender=provider) == refusal("InsufficientBalance()")


def test_a_removed_operator_is_paid_what_comes_in_later(
    registry: RegistryVM, owner: str, provider: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(50)
    registry.call(REMOVE_OPERATOR, ids[0], sender=provider)
    pass_blocks(50)
    assert registry.number(BURN_RATE, owner, ids, cluster) == BURN - FEES[0]
    registry.call(DEPOSIT, owner, ids, cluster, sender=owner)
    assert registry.earnings(ids)[:2] == [50 * FEES[0], 100 * FEES[1]]
    before = boa.env.get_balance(provider)
    registry.call("withdrawAllOperatorEarnings(uint64)", ids[0], sender=provider)
    assert boa.env.get_balance(provider) - before == 50 * FEES[0]


def test_removal_pays_what_is_there(registry: RegistryVM, owner: str, provider: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(50)
    registry.call(DEPOSIT, owner, ids, cluster, sender=owner)
    before = boa.env.get_balance(provider)
    registry.call(REMOVE_OPERATOR, ids[1], sender=provider)
    assert boa.env.get_balance(provider) - before == 50 * FEES[1]
    assert registry.earnings(ids)[1] == 0


# Whitelists, parameters


def test_whitelists_belong_to_their_operators(registry: RegistryVM, owner: str, provider: str, ids: list[int]) -> None:
    registry.call("setOperatorsPrivateUnchecked(uint64[])", ids, sender=provider)
    update, remove = "setOperatorsWhitelists(uint64[],address[])", "removeOperatorsWhitelists(uint64[],address[])"
    registry.call(update, ids[:3], [owner, provider], sender=provider)
    listed = "OperatorMultipleWhitelistUpdated(uint64[],address[])"
    assert registry.logs == [event(listed, ids[:3], [owner, provider], indexed=0)]
    closed = refusal("CallerNotWhitelistedWithData(uint64)", ids[3])
    assert registry.refused(REGISTER, KEYS[0], ids, b"", NEW_CLUSTER, sender=owner, value=ETHER) == closed
    registry.call(update, ids[3:], [owner], sender=provider)
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    registry.call(remove, ids[:1], [owner], sender=provider)
    closed = refusal("CallerNotWhitelistedWithData(uint64)", ids[0])
    assert registry.refused(REGISTER, KEYS[1], ids, b"", cluster, sender=owner) == closed
    registry.call("setOperatorsPublicUnchecked(uint64[])", ids[:1], sender=provider)
    registry.register(owner, KEYS[1:2], ids, cluster)


@pytest.mark.parametrize(
    ("ids", "accounts", "error"),
    [
        ([], ["0x" + "11" * 20], "InvalidOperatorIdsLength()"),
        ([1], [], "InvalidWhitelistAddressesLength()"),
        ([1], ["0x" + "00" * 20], "ZeroAddressNotAllowed()"),
        ([9], ["0x" + "11" * 20], "OperatorDoesNotExist()"),
    ],
)
def test_bad_whitelists(registry: RegistryVM, provider: str, ids: list[int], accounts: list[str], error: str) -> None:
    registry.operators(provider, 1)
    refused = registry.refused("setOperatorsWhitelists(uint64[],address[])", ids, accounts, sender=provider)
    assert refused == refusal(error)


@pytest.mark.parametrize(
    ("signature", "good", "bad", "error"),
    [
        ("updateNetworkFee(uint256)", 10**9, 2**32 * UNIT, "MaxValueExceeded()"),
        ("updateNetworkFee(uint256)", 0, 1, "MaxPrecisionExceeded()"),
        ("withdrawNetworkEarnings(uint256)", 0, UNIT, "InsufficientBalance()"),
        ("updateOperatorFeeIncreaseLimit(uint64)", 10_000, 10_001, "MaxValueExceeded()"),
        ("updateLiquidationThresholdPeriod(uint64)", THRESHOLD, THRESHOLD - 1, "NewBlockPeriodIsBelowMinimum()"),
        ("updateMaximumOperatorFee(uint256)", 10**9, 2**32 * UNIT, "MaxValueExceeded()"),
        ("updateDeclareOperatorFeePeriod(uint64)", 0, None, ""),
        ("updateExecuteOperatorFeePeriod(uint64)", 0, None, ""),
        ("updateMinimumLiquidationCollateral(uint256)", 1, None, ""),
        ("transferOwnership(address)", "0x" + "11" * 20, None, ""),
    ],
)
def test_parameters_are_the_owners_and_bounded(
    registry: RegistryVM, owner: str, signature: str, good: Any, bad: Any, error: str
) -> None:
    refused = refusal("CallerNotOwnerWithData(address,address)", owner, boa.env.eoa)
    assert registry.refused(signature, good, sender=owner) == refused
    if bad is not None:
        assert registry.refused(signature, bad, sender=boa.env.eoa) == refusal(error)
    registry.call(signature, good, sender=boa.env.eoa)
    assert len(registry.logs) == 1


def test_ownership_moves_in_two_steps(registry: RegistryVM, owner: str, provider: str) -> None:
    registry.call("transferOwnership(address)", owner, sender=boa.env.eoa)
    registry.call("updateNetworkFee(uint256)", 0, sender=boa.env.eoa)
    assert registry.refused("acceptOwnership()", sender=provider) == refusal(
        "CallerNotOwnerWithData(address,address)", provider, owner
    )
    registry.call("acceptOwnership()", sender=owner)
    registry.call("updateNetworkFee(uint256)", 10**9, sender=owner)
    assert registry.refused("updateNetworkFee(uint256)", 0, sender=boa.env.eoa) == refusal(
        "CallerNotOwnerWithData(address,address)", boa.env.eoa, owner
    )


def test_network_earnings_go_to_the_owner(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=ETHER)
    pass_blocks(100)
    registry.call(DEPOSIT, owner, ids, cluster, sender=owner)
    before = boa.env.get_balance(boa.env.eoa)
    registry.call("withdrawNetworkEarnings(uint256)", 100 * NETWORK_FEE, sender=boa.env.eoa)
    assert boa.env.get_balance(boa.env.eoa) - before == 100 * NETWORK_FEE
    assert registry.number("getNetworkEarnings()") == 0
