"""The staking pool's validators: committees, registration, deposits, clusters, exits, with the real other contracts."""

from typing import Any

import boa
import pytest
from contract_vm import event, refusal
from eth_abi.abi import encode
from pool_vm import (
    ALLOW,
    DAY,
    DEPOSIT,
    ETHER,
    EXIT,
    FUND,
    PAUSE,
    PAY,
    REACTIVATE,
    REFUND,
    REGISTER,
    REMOVE,
    PoolVM,
    deposit_root,
    key_of,
)
from registry_vm import LIQUIDATE, VALIDATOR_ADDED, VALIDATOR_EXITED, VALIDATOR_REMOVED, ZERO_ADDRESS

pytestmark = pytest.mark.contracts

MILLI = ETHER // 1_000
BURN = 4 * 10**9
"""What four operators of PoolVM cost, wei per block."""
KEY, SECOND = key_of(1), key_of(2)


@pytest.fixture
def pool() -> PoolVM:
    """With 70 ether and its committee allowed."""
    pool = PoolVM()
    pool.stake(pool.account(), 70 * ETHER)
    pool.allow()
    return pool


@pytest.fixture
def stranger(pool: PoolVM) -> str:
    return pool.account()


def registration(pool: PoolVM, key: bytes, payment: int = MILLI) -> tuple[Any, ...]:
    return (REGISTER, key, pool.ids, b"shares", payment, pool.cluster)


def paying(pool: PoolVM, call: str, kind: str, amount: int, signers: tuple[int, ...] = (0, 1, 2)) -> tuple[Any, ...]:
    """A call about the cluster's money, with its signatures."""
    nonce = pool.number("clusterNonce()")
    return call, pool.ids, amount, pool.cluster, nonce, pool.approvals(kind, (pool.ids, amount, nonce), signers)


# Committees


def test_a_quorum_allows_a_committee(pool: PoolVM, stranger: str) -> None:
    ids = pool.registry.operators(stranger, 4)
    nonce = pool.number("clusterNonce()")
    assert pool.number("committeeAllowed(uint64[])", ids) == 0
    call = (ALLOW, ids, True, nonce)
    refused = pool.refused(*call, pool.approvals("Committee", (ids, True, nonce), (0, 1)), sender=stranger)
    assert refused == refusal("QuorumMissing(uint256,uint256)", 2, 3)
    approvals = pool.approvals("Committee", (ids, True, nonce))
    pool.call(*call, approvals, sender=stranger)
    assert pool.logs == [event("CommitteeAllowed(uint64[],bool)", ids, True, indexed=0)]
    assert pool.number("committeeAllowed(uint64[])", ids) == 1
    assert pool.refused(*call, approvals, sender=stranger) == refusal("WrongNonce(uint256)", nonce + 1)
    pool.allow(ids, allowed=False)
    assert pool.number("committeeAllowed(uint64[])", ids) == 0
    assert pool.refused(*call, approvals, sender=stranger) == refusal("WrongNonce(uint256)", nonce + 2)


# Registration


def test_a_member_registers_a_validator_of_the_pool(pool: PoolVM) -> None:
    pool.register(KEY, 2 * MILLI)
    registered, added = pool.logs
    assert registered == event("ValidatorRegistered(bytes,uint64[],uint256)", KEY, pool.ids, 2 * MILLI, indexed=0)
    expected = (pool.address, pool.ids, KEY, b"shares", pool.cluster)
    assert added == event(VALIDATOR_ADDED, *expected, indexed=1)
    assert pool.registry.number("getValidator(address,bytes)", pool.address, KEY) == 1
    assert pool.cluster[4] == 2 * MILLI
    assert pool.state(KEY) == 1
    assert pool.assets == pool.held == 70 * ETHER - 2 * MILLI
    assert pool.number("validatorCount()") == 0


def test_who_may_register(pool: PoolVM, stranger: str) -> None:
    for caller in (stranger, pool.governor):
        refused = pool.refused(*registration(pool, KEY), sender=caller)
        assert refused == refusal("NotMember(address)", caller)
    ids = pool.registry.operators(pool.members[0], 4)
    refused = pool.refused(REGISTER, KEY, ids, b"", MILLI, pool.cluster, sender=pool.members[0])
    assert refused == refusal("CommitteeNotAllowed()"), "a member's own operators"
    pool.call(PAUSE, "", sender=pool.governor)
    refused = pool.refused(*registration(pool, KEY), sender=pool.members[0])
    assert refused == refusal("PoolPaused(uint256)", boa.env.timestamp + 7 * DAY)


def test_a_key_is_used_once(pool: PoolVM) -> None:
    pool.register(KEY)
    member = pool.members[1]
    assert pool.refused(*registration(pool, KEY), sender=member) == refusal("KeyUsed(bytes)", KEY)
    pool.in_cluster(REMOVE, KEY, pool.ids, pool.cluster, pool.approvals("Removal", (KEY,)), sender=member)
    assert pool.refused(*registration(pool, KEY), sender=member) == refusal("KeyUsed(bytes)", KEY)


def test_every_registered_key_has_its_deposit_waiting(pool: PoolVM) -> None:
    pool.register(KEY)
    pool.register(SECOND)
    free = pool.number("fundable()")
    refused = pool.refused(*registration(pool, key_of(3)), sender=pool.members[0])
    assert refused == refusal("NotEnoughFree(uint256,uint256)", free, 3 * DEPOSIT)
    pool.fund(KEY)
    free -= DEPOSIT
    refused = pool.refused(*registration(pool, key_of(3)), sender=pool.members[0])
    assert refused == refusal("NotEnoughFree(uint256,uint256)", free, 2 * DEPOSIT)


def test_what_the_registry_refuses_is_refused_as_it_says(pool: PoolVM) -> None:
    member = pool.members[0]
    assert pool.refused(*registration(pool, KEY, 0), sender=member) == refusal("InsufficientBalance()")
    assert pool.refused(*registration(pool, KEY[:47]), sender=member) == refusal("InvalidPublicKeyLength()")
    wrong = (1, 0, 0, True, 0)
    refused = pool.refused(REGISTER, KEY, pool.ids, b"", MILLI, wrong, sender=member)
    assert refused == refusal("IncorrectClusterState()")
    assert pool.state(KEY) == 0
    assert pool.number("clusterAllowance()") == 70 * ETHER * 500 // 10_000


# The budget


def test_what_clusters_are_paid_is_bounded_in_a_window(pool: PoolVM) -> None:
    budget = 70 * ETHER * 500 // 10_000
    assert pool.number("clusterAllowance()") == budget
    refused = pool.refused(*registration(pool, KEY, budget + 1), sender=pool.members[0])
    assert refused == refusal("BudgetExceeded(uint256,uint256)", budget, budget + 1)
    pool.register(KEY, 3 * ETHER)
    left = (67 * ETHER) * 500 // 10_000 - 3 * ETHER
    assert pool.number("clusterAllowance()") == left
    call = paying(pool, PAY, "ClusterPayment", left + 1)
    assert pool.refused(*call, sender=pool.provider) == refusal("BudgetExceeded(uint256,uint256)", left, left + 1)
    pool.in_cluster(*paying(pool, PAY, "ClusterPayment", left), sender=pool.provider)
    assert pool.number("clusterAllowance()") == 0
    boa.env.time_travel(seconds=30 * DAY)
    assert pool.number("clusterAllowance()") == pool.assets * 500 // 10_000


# Deposits


def test_a_quorum_funds_a_validator_with_the_pools_credentials(pool: PoolVM) -> None:
    pool.register(KEY)
    before = pool.number("fundable()")
    key, signature, *_ = funding = pool.funding(KEY)
    pool.call(FUND, *funding, sender=pool.provider)
    funded, deposited = pool.logs
    assert funded == event("ValidatorFunded(bytes,uint64)", KEY, 0, indexed=0)
    credentials = b"\x01" + bytes(11) + bytes.fromhex(pool.address[2:])
    assert pool.credentials == credentials
    amount = (32 * 10**9).to_bytes(8, "little")
    assert deposited[1] == encode(["bytes"] * 5, [key, credentials, amount, signature, bytes(8)])
    assert boa.env.get_balance(pool.deposits.contract.address) == DEPOSIT
    assert pool.state(KEY) == 2
    assert before - pool.number("fundable()") == DEPOSIT
    assert pool.number("depositedTotal()") == DEPOSIT
    assert pool.assets == 70 * ETHER - MILLI, "a deposit is worth what it cost"
    assert pool.number("validatorCount()") == 1
    assert pool.read("validatorAt(uint64)", ["bytes"], 0) == (KEY,)
    assert pool.read("validatorAt(uint64)", ["bytes"], 1) == (b"",)


def test_a_deposit_in_between_stops_the_funding(pool: PoolVM, stranger: str) -> None:
    pool.register(KEY)
    funding = pool.funding(KEY)
    theirs = b"\x01" + bytes(11) + bytes.fromhex(stranger[2:])
    signature = bytes(96)
    root = deposit_root(KEY, theirs, signature, 10**9)
    call = ("deposit(bytes,bytes,bytes,bytes32)", KEY, theirs, signature, root)
    pool.deposits.call(*call, sender=stranger, value=ETHER)
    found = pool.deposits.call("get_deposit_root()", sender=ZERO_ADDRESS)
    refused = pool.refused(FUND, *funding, sender=pool.provider)
    assert refused == refusal("DepositRootChanged(bytes32,bytes32)", funding[3], found)
    assert pool.state(KEY) == 1


def test_funding_needs_a_registered_key_and_a_quorum(pool: PoolVM) -> None:
    refused = pool.refused(FUND, *pool.funding(KEY), sender=pool.provider)
    assert refused == refusal("WrongValidatorState(bytes,uint8)", KEY, 0)
    pool.register(KEY)
    refused = pool.refused(FUND, *pool.funding(KEY, (0, 1)), sender=pool.members[0])
    assert refused == refusal("QuorumMissing(uint256,uint256)", 2, 3)
    funding = pool.funding(KEY)
    for place, changed in ((1, bytes(96)), (2, bytes(32)), (3, bytes(32))):
        wrong = (*funding[:place], changed, *funding[place + 1 :])
        refused = pool.refused(FUND, *wrong, sender=pool.provider)
        assert refused[:4] == refusal("ApprovalOfStranger(address)", ZERO_ADDRESS)[:4]
    pool.call(FUND, *funding, sender=pool.provider)
    refused = pool.refused(FUND, *funding, sender=pool.provider)
    assert refused == refusal("WrongValidatorState(bytes,uint8)", KEY, 2)
    pool.register(SECOND)
    pool.call(PAUSE, "", sender=pool.governor)
    refused = pool.refused(FUND, *pool.funding(SECOND), sender=pool.provider)
    assert refused == refusal("PoolPaused(uint256)", boa.env.timestamp + 7 * DAY)


def test_a_wrong_data_root_is_the_deposit_contracts_to_refuse(pool: PoolVM) -> None:
    pool.register(KEY)
    _, signature, _, root, _ = pool.funding(KEY)
    theirs = deposit_root(KEY, bytes(32), signature)
    approvals = pool.approvals("Funding", (KEY, signature, theirs, root))
    refused = pool.refused(FUND, KEY, signature, theirs, root, approvals, sender=pool.provider)
    assert b"reconstructed DepositData" in refused
    assert pool.number("depositedTotal()") == 0


def test_what_leavers_wait_for_is_not_deposited() -> None:
    pool = PoolVM()
    staker = pool.account()
    pool.stake(staker, 40 * ETHER)
    pool.allow()
    pool.register(KEY)
    pool.request(staker, 9 * ETHER)
    free = pool.number("fundable()")
    assert free < DEPOSIT
    refused = pool.refused(FUND, *pool.funding(KEY), sender=pool.provider)
    assert refused == refusal("NotEnoughFree(uint256,uint256)", free, DEPOSIT)
    pool.stake(staker, 2 * ETHER)
    pool.fund(KEY)


# Clusters


def test_a_quorum_pays_a_cluster(pool: PoolVM, stranger: str) -> None:
    pool.register(KEY)
    before = pool.assets
    nonce = pool.number("clusterNonce()")
    call = paying(pool, PAY, "ClusterPayment", ETHER)
    pool.in_cluster(*call, sender=stranger)
    assert pool.logs[0] == event("ClusterPaid(uint64[],uint256)", pool.ids, ETHER, indexed=0)
    assert pool.cluster[4] == MILLI + ETHER
    assert before - pool.assets == ETHER
    assert pool.number("clusterNonce()") == nonce + 1
    assert pool.refused(*call, sender=stranger) == refusal("WrongNonce(uint256)", nonce + 1)
    call = paying(pool, PAY, "ClusterPayment", ETHER, (0, 3))
    assert pool.refused(*call, sender=stranger) == refusal("QuorumMissing(uint256,uint256)", 2, 3)
    call = paying(pool, PAY, "ClusterRefund", ETHER)
    assert pool.refused(*call, sender=stranger)[:4] == refusal("ApprovalOfStranger(address)", ZERO_ADDRESS)[:4]
    pool.call(PAUSE, "", sender=pool.governor)
    refused = pool.refused(*paying(pool, PAY, "ClusterPayment", ETHER), sender=stranger)
    assert refused == refusal("PoolPaused(uint256)", boa.env.timestamp + 7 * DAY)


def test_a_refund_books_what_came_in(pool: PoolVM, stranger: str) -> None:
    pool.register(KEY, 3 * ETHER)
    pool.give(7)
    before, allowance = pool.assets, pool.number("clusterAllowance()")
    refused = pool.refused(*paying(pool, REFUND, "ClusterRefund", 4 * ETHER), sender=stranger)
    assert refused == refusal("InsufficientBalance()")
    refused = pool.refused(*paying(pool, REFUND, "ClusterRefund", ETHER, (1,)), sender=stranger)
    assert refused == refusal("QuorumMissing(uint256,uint256)", 1, 3)
    pool.in_cluster(*paying(pool, REFUND, "ClusterRefund", 2 * ETHER), sender=stranger)
    assert pool.logs[-1] == event("ClusterRefunded(uint64[],uint256)", pool.ids, 2 * ETHER, indexed=0)
    assert pool.assets - before == 2 * ETHER
    assert pool.cluster[4] == ETHER
    assert pool.number("unbooked()") == 7
    assert pool.number("clusterAllowance()") == allowance + 2 * ETHER * 500 // 10_000, "the window's payments count on"


def test_a_refund_when_all_have_left_is_the_treasurys() -> None:
    pool = PoolVM()
    staker = pool.account()
    pool.stake(staker, 40 * ETHER)
    pool.allow()
    pool.register(KEY, ETHER)
    pool.in_cluster(REMOVE, KEY, pool.ids, pool.cluster, pool.approvals("Removal", (KEY,)), sender=staker)
    pool.request(staker, 40 * ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    assert (pool.supply, pool.assets) == (0, 0)
    amount = pool.cluster[4] // 2
    pool.in_cluster(*paying(pool, REFUND, "ClusterRefund", amount), sender=staker)
    assert (pool.supply, pool.assets, pool.shares(pool.treasury)) == (amount, amount, amount)


def test_a_liquidated_cluster_is_started_again(pool: PoolVM, stranger: str) -> None:
    pool.register(KEY)
    boa.env.time_travel(blocks=MILLI // BURN - 21_480 + 1)
    pool.registry.call(LIQUIDATE, pool.address, pool.ids, pool.cluster, sender=stranger)
    pool.cluster = pool.registry.cluster_of("ClusterLiquidated(address,uint64[],(uint32,uint64,uint64,bool,uint256))")
    refused = pool.refused(*paying(pool, REACTIVATE, "ClusterPayment", ETHER), sender=stranger)
    assert refused[:4] == refusal("ApprovalOfStranger(address)", ZERO_ADDRESS)[:4]
    allowance = pool.number("clusterAllowance()")
    call = paying(pool, REACTIVATE, "ClusterReactivation", allowance + 1)
    refused = pool.refused(*call, sender=stranger)
    assert refused == refusal("BudgetExceeded(uint256,uint256)", allowance, allowance + 1)
    pool.in_cluster(*paying(pool, REACTIVATE, "ClusterReactivation", ETHER), sender=stranger)
    assert pool.logs[0] == event("ClusterPaid(uint64[],uint256)", pool.ids, ETHER, indexed=0)
    assert pool.cluster[0] == 1
    assert pool.cluster[3:] == (True, ETHER)
    pool.call(PAUSE, "", sender=pool.governor)
    refused = pool.refused(*paying(pool, REACTIVATE, "ClusterReactivation", ETHER), sender=stranger)
    assert refused == refusal("PoolPaused(uint256)", boa.env.timestamp + 7 * DAY)


# Exits and removal


@pytest.fixture
def running(pool: PoolVM) -> PoolVM:
    """With two validators and 6 ether less payments."""
    for key in (KEY, SECOND):
        pool.register(key)
        pool.fund(key)
    return pool


def test_exits_only_as_far_as_leavers_need_them(running: PoolVM, stranger: str) -> None:
    pool, member = running, running.members[3]
    staker = pool.account()
    assert pool.refused(EXIT, [KEY], pool.ids, sender=stranger) == refusal("NotMember(address)", stranger)
    assert pool.refused(EXIT, [KEY], pool.ids, sender=member) == refusal("NoExitNeeded()")
    shares = pool.stake(staker, 12 * ETHER)
    pool.request(staker, shares)
    assert pool.refused(EXIT, [KEY], pool.ids, sender=member) == refusal("NoExitNeeded()"), "there is enough"
    assert pool.number("exitsUnderWay()") == 0


def test_each_exit_counts_before_the_next(stranger: str) -> None:
    pool = PoolVM()
    staker, member = pool.account(), pool.members[0]
    pool.stake(staker, 97 * ETHER)
    pool.allow()
    keys = [key_of(number) for number in range(3)]
    for key in keys:
        pool.register(key)
        pool.fund(key)
    buffered = pool.number("buffered()")
    pool.request(staker, 40 * ETHER)
    assert pool.number("pendingWithdrawals()") > buffered + DEPOSIT
    assert pool.refused(EXIT, keys, pool.ids, sender=member) == refusal("NoExitNeeded()"), "two are enough"
    pool.call(EXIT, keys[:2], pool.ids, sender=member)
    assert pool.logs == [
        log
        for key in keys[:2]
        for log in (
            event("ValidatorExitRequested(bytes)", key, indexed=0),
            event(VALIDATOR_EXITED, pool.address, pool.ids, key, indexed=1),
        )
    ]
    assert pool.number("exitsUnderWay()") == 2
    assert [pool.state(key) for key in keys] == [3, 3, 2]
    refused = pool.refused(EXIT, keys[:1], pool.ids, sender=member)
    assert refused == refusal("WrongValidatorState(bytes,uint8)", keys[0], 3)
    boa.env.time_travel(blocks=2)
    pool.give(2 * DEPOSIT)
    pool.report(DEPOSIT, exited=2)
    assert pool.number("exitsUnderWay()") == 0
    assert pool.withdrawal(1)[5] == 2


def test_an_exit_goes_to_the_validators_own_committee(running: PoolVM) -> None:
    pool = running
    staker = pool.account()
    pool.stake(staker, 60 * ETHER)
    pool.register(key_of(3))
    pool.fund(key_of(3))
    pool.request(staker, 39 * ETHER)
    others = pool.registry.operators(pool.account(), 4)
    refused = pool.refused(EXIT, [KEY], others, sender=pool.members[0])
    assert refused == refusal("IncorrectValidatorStateWithData(bytes)", KEY)
    refused = pool.refused(EXIT, [key_of(9)], pool.ids, sender=pool.members[0])
    assert refused == refusal("WrongValidatorState(bytes,uint8)", key_of(9), 0)
    assert pool.state(KEY) == 2


def test_a_quorum_takes_a_validator_out(running: PoolVM, stranger: str) -> None:
    pool = running
    few = pool.approvals("Removal", (KEY,), (0, 1))
    refused = pool.refused(REMOVE, KEY, pool.ids, pool.cluster, few, sender=stranger)
    assert refused == refusal("QuorumMissing(uint256,uint256)", 2, 3)
    approvals = pool.approvals("Removal", (KEY,))
    refused = pool.refused(REMOVE, SECOND, pool.ids, pool.cluster, approvals, sender=stranger)
    assert refused[:4] == refusal("ApprovalOfStranger(address)", ZERO_ADDRESS)[:4]
    pool.in_cluster(REMOVE, KEY, pool.ids, pool.cluster, approvals, sender=stranger)
    assert pool.logs == [
        event("ValidatorRetired(bytes)", KEY, indexed=0),
        event(VALIDATOR_REMOVED, pool.address, pool.ids, KEY, pool.cluster, indexed=1),
    ]
    assert pool.state(KEY) == 4
    refused = pool.refused(REMOVE, KEY, pool.ids, pool.cluster, approvals, sender=stranger)
    assert refused == refusal("WrongValidatorState(bytes,uint8)", KEY, 4)
    unknown = pool.approvals("Removal", (key_of(9),))
    refused = pool.refused(REMOVE, key_of(9), pool.ids, pool.cluster, unknown, sender=stranger)
    assert refused == refusal("WrongValidatorState(bytes,uint8)", key_of(9), 0)


def test_a_removed_key_frees_its_deposit_for_another(pool: PoolVM) -> None:
    pool.register(KEY)
    pool.register(SECOND)
    pool.in_cluster(REMOVE, KEY, pool.ids, pool.cluster, pool.approvals("Removal", (KEY,)), sender=pool.provider)
    pool.register(key_of(3))
    assert [pool.state(key) for key in (KEY, SECOND, key_of(3))] == [4, 1, 1]
