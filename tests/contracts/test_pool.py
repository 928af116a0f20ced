"""The staking pool's shares and its books: staking, the queue of those who leave, claims, the ERC-20 token."""

import json

import boa
import pytest
from contract_vm import event, refusal
from pool_vm import (
    CLAIM,
    CLAIM_MANY,
    CLAIMED,
    DAY,
    DEPOSIT,
    ETHER,
    FINALIZE,
    FINALIZED,
    PAUSE,
    REDIRECT,
    REQUEST,
    REQUESTED,
    STAKE,
    STAKE_FOR,
    STAKED,
    TRANSFER,
    Limits,
    PoolVM,
    key_of,
)
from registry_vm import ZERO_ADDRESS

from ssv_pool.registry.artifacts import compile_contract, published_abi

pytestmark = pytest.mark.contracts

MAX_CODE = 24_576
"""EIP-170."""
MILLI = ETHER // 1_000
UNLIMITED = 2**256 - 1


@pytest.fixture
def pool() -> PoolVM:
    return PoolVM()


@pytest.fixture
def staker(pool: PoolVM) -> str:
    return pool.account()


@pytest.fixture
def other(pool: PoolVM) -> str:
    return pool.account()


# The files


def test_published_abi_is_the_compilers_and_the_code_fits(pool: PoolVM) -> None:
    assert json.loads(json.dumps(compile_contract("StakingPool").abi)) == published_abi("StakingPool")
    assert len(boa.env.get_code(pool.contract.address)) <= MAX_CODE


# Staking


def test_first_stake_is_one_to_one(pool: PoolVM, staker: str) -> None:
    assert pool.stake(staker, 3 * ETHER) == 3 * ETHER
    assert pool.logs == [
        event(TRANSFER, ZERO_ADDRESS, staker, 3 * ETHER, indexed=2),
        event(STAKED, staker, staker, 3 * ETHER, 3 * ETHER, indexed=2),
    ]
    assert (pool.shares(staker), pool.supply, pool.assets, pool.held) == (3 * ETHER,) * 4
    assert pool.number("buffered()") == 3 * ETHER
    assert pool.number("unbooked()") == 0


def test_shares_are_rounded_down_at_the_present_price(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, 10 * ETHER)
    pool.give(MILLI)
    pool.report(0)
    assets, supply = pool.assets, pool.supply
    assert assets == 10 * ETHER + MILLI
    expected = 7 * ETHER * supply // assets
    assert pool.number("convertToShares(uint256)", 7 * ETHER) == expected
    assert pool.stake(other, 7 * ETHER) == expected
    assert pool.number("convertToAssets(uint256)", expected) in (7 * ETHER, 7 * ETHER - 1)


def test_stake_for_another(pool: PoolVM, staker: str, other: str) -> None:
    pool.call(STAKE_FOR, other, sender=staker, value=ETHER)
    assert pool.logs[-1] == event(STAKED, staker, other, ETHER, ETHER, indexed=2)
    assert (pool.shares(staker), pool.shares(other)) == (0, ETHER)
    for receiver in (ZERO_ADDRESS, pool.address):
        refused = pool.refused(STAKE_FOR, receiver, sender=staker, value=ETHER)
        assert refused == refusal("InvalidReceiver(address)", receiver)


def test_stake_has_a_lower_bound(pool: PoolVM, staker: str) -> None:
    least = 10 * MILLI
    refused = pool.refused(STAKE, sender=staker, value=least - 1)
    assert refused == refusal("StakeTooSmall(uint256,uint256)", least - 1, least)
    assert pool.stake(staker, least) == least


def test_ether_that_is_sent_is_no_stake_and_moves_no_price(pool: PoolVM, staker: str) -> None:
    pool.stake(staker, ETHER)
    boa.env.execute_code(to_address=pool.address, sender=staker, data=b"", value=5 * ETHER)
    pool.give(ETHER)
    assert pool.number("unbooked()") == 6 * ETHER
    assert pool.assets == ETHER
    assert pool.stake(staker, ETHER) == ETHER


def test_a_call_that_does_not_exist_takes_ether_as_a_gift_only(pool: PoolVM, staker: str) -> None:
    pool.call("noSuchCall()", sender=staker, value=7)
    assert (pool.number("unbooked()"), pool.supply) == (7, 0)


# Leaving


def test_a_request_moves_the_shares_and_remembers_their_worth(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, 4 * ETHER)
    block = boa.env.evm.patch.block_number
    assert pool.request(staker, ETHER, other) == 1
    assert pool.logs == [
        event(TRANSFER, staker, pool.address, ETHER, indexed=2),
        event(REQUESTED, 1, staker, other, ETHER, ETHER, indexed=3),
    ]
    assert pool.withdrawal(1) == (staker.lower(), other.lower(), ETHER, ETHER, block, 1)
    assert pool.withdrawal(2) == (ZERO_ADDRESS, ZERO_ADDRESS, 0, 0, 0, 0)
    assert (pool.shares(staker), pool.supply) == (3 * ETHER, 4 * ETHER)
    assert pool.number("pendingWithdrawals()") == ETHER
    assert pool.number("fundable()") == 3 * ETHER
    assert pool.number("requestCount()") == pool.number("nextToFinalize()") == 1


def test_requests_have_bounds(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, 2_000 * ETHER)
    refused = pool.refused(REQUEST, MILLI - 1, staker, sender=staker)
    assert refused == refusal("RequestTooSmall(uint256,uint256)", MILLI - 1, MILLI)
    refused = pool.refused(REQUEST, 0, staker, sender=other)
    assert refused == refusal("RequestTooSmall(uint256,uint256)", 0, MILLI)
    refused = pool.refused(REQUEST, 1_000 * ETHER + 1, staker, sender=staker)
    assert refused == refusal("RequestTooLarge(uint256,uint256)", 1_000 * ETHER + 1, 1_000 * ETHER)
    refused = pool.refused(REQUEST, 2_001 * ETHER, staker, sender=staker)
    assert refused == refusal("InsufficientShares(uint256,uint256)", 2_000 * ETHER, 2_001 * ETHER)
    for receiver in (ZERO_ADDRESS, pool.address):
        refused = pool.refused(REQUEST, ETHER, receiver, sender=staker)
        assert refused == refusal("InvalidReceiver(address)", receiver)
    pool.request(staker, 1_000 * ETHER)
    pool.request(staker, MILLI)


def test_who_has_little_may_leave_with_all_of_it(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, ETHER)
    pool.call("transfer(address,uint256)", other, 5, sender=staker)
    assert pool.refused(REQUEST, 4, other, sender=other) == refusal("RequestTooSmall(uint256,uint256)", 4, MILLI)
    assert pool.request(other, 5) == 1


def test_a_request_is_ready_after_a_report_of_a_later_block(pool: PoolVM, staker: str) -> None:
    pool.stake(staker, 4 * ETHER)
    pool.report(0)
    boa.env.time_travel(blocks=5)
    request = pool.request(staker, ETHER)
    made = boa.env.evm.patch.block_number
    boa.env.time_travel(blocks=5)
    pool.call(FINALIZE, 10, sender=staker)
    assert pool.withdrawal(request)[5] == 1, "the last report is of a block before the request"
    pool.send(pool.next_report(0, block=made))
    assert pool.withdrawal(request)[5] == 1, "a report of the same block does not tell what came after"
    pool.send(pool.next_report(0, block=made + 1))
    assert pool.logs[:2] == [
        event(TRANSFER, pool.address, ZERO_ADDRESS, ETHER, indexed=2),
        event(FINALIZED, request, ETHER, ETHER, indexed=1),
    ]
    assert pool.withdrawal(request)[5] == 2
    assert (pool.number("reserved()"), pool.number("buffered()"), pool.supply) == (ETHER, 3 * ETHER, 3 * ETHER)
    assert pool.number("nextToFinalize()") == 2
    assert pool.number("pendingWithdrawals()") == 0


def test_requests_wait_for_money_in_their_order(staker: str, other: str) -> None:
    pool = PoolVM(fees=(0,) * 4)
    pool.stake(staker, 40 * ETHER)
    pool.stake(other, ETHER)
    pool.allow()
    pool.register(key_of(1), 0)
    pool.fund(key_of(1))
    large, small = pool.request(staker, 20 * ETHER), pool.request(other, ETHER // 2)
    boa.env.time_travel(blocks=2)
    pool.report(DEPOSIT)
    assert [pool.withdrawal(number)[5] for number in (large, small)] == [1, 1], "there is enough for the later one only"
    pool.stake(other, 11 * ETHER)
    pool.call(FINALIZE, 1, sender=other)
    assert [pool.withdrawal(number)[5] for number in (large, small)] == [2, 1]
    assert pool.call(FINALIZE, 5, sender=other) == bytes(32), "no money is left"
    pool.stake(other, ETHER)
    assert int.from_bytes(pool.call(FINALIZE, 5, sender=other), "big") == 1
    assert [pool.withdrawal(number)[5] for number in (large, small)] == [2, 2]


def test_a_report_makes_sixteen_ready_and_anybody_the_rest(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, ETHER)
    for _ in range(20):
        pool.request(staker, 2 * MILLI)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    assert pool.number("nextToFinalize()") == 17
    pool.call(FINALIZE, 3, sender=other)
    assert pool.number("nextToFinalize()") == 20
    pool.call(FINALIZE, UNLIMITED, sender=other)
    assert pool.number("nextToFinalize()") == 21
    assert pool.number("reserved()") == 40 * MILLI


def test_waiting_earns_nothing_and_loses_with_the_others(staker: str, other: str) -> None:
    pool = PoolVM(fees=(0,) * 4)
    pool.stake(staker, 20 * ETHER)
    pool.stake(other, 20 * ETHER)
    pool.allow()
    pool.register(key_of(1), 0)
    pool.fund(key_of(1))
    early = pool.request(staker, 5 * ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(DEPOSIT + MILLI)
    assert pool.withdrawal(early)[3:] == (5 * ETHER, pool.withdrawal(early)[4], 2), "what was asked, no gain"
    late = pool.request(other, 3 * ETHER)
    asked = pool.withdrawal(late)[3]
    boa.env.time_travel(blocks=2)
    supply, assets = pool.supply, pool.assets
    pool.report(DEPOSIT - ETHER)
    after_loss = 3 * ETHER * (assets - ETHER - MILLI) // supply
    assert after_loss < asked
    assert pool.withdrawal(late)[3] == after_loss
    assert pool.withdrawal(late)[5] == 2


def test_leaving_is_worth_the_price_before_the_last_gain(pool: PoolVM, staker: str) -> None:
    pool.stake(staker, 10 * ETHER)
    pool.give(MILLI)
    pool.report(0)
    assert pool.number("convertToAssets(uint256)", ETHER) > ETHER
    assert pool.number("withdrawalValue(uint256)", ETHER) == ETHER
    assert pool.withdrawal(pool.request(staker, ETHER))[3] == ETHER
    price = pool.number("convertToAssets(uint256)", ETHER)
    boa.env.time_travel(blocks=2)
    pool.give(MILLI)
    pool.report(0)
    assert price <= pool.number("withdrawalValue(uint256)", ETHER) < pool.number("convertToAssets(uint256)", ETHER)


def test_what_the_last_leaver_leaves_behind_is_the_treasurys(staker: str) -> None:
    pool = PoolVM(Limits(operator_fee=0, treasury_fee=0))
    pool.stake(staker, 10 * ETHER)
    pool.give(MILLI)
    request = pool.request(staker, 10 * ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    assert pool.withdrawal(request)[3] == 10 * ETHER
    assert (pool.assets, pool.supply, pool.shares(pool.treasury)) == (MILLI, MILLI, MILLI)


# Claims


def test_anybody_may_claim_and_the_receiver_is_paid_once(pool: PoolVM, staker: str, other: str) -> None:
    receiver = pool.account(0)
    pool.stake(staker, 4 * ETHER)
    request = pool.request(staker, 3 * ETHER, receiver)
    assert pool.refused(CLAIM, request, sender=other) == refusal("NothingToClaim(uint256)", request)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    pool.call(CLAIM, request, sender=other)
    assert pool.logs == [event(CLAIMED, request, receiver, 3 * ETHER, indexed=2)]
    assert boa.env.get_balance(receiver) == 3 * ETHER
    assert (pool.held, pool.number("reserved()"), pool.number("buffered()")) == (ETHER, 0, ETHER)
    assert pool.withdrawal(request)[5] == 3
    for number in (request, 0, 77):
        assert pool.refused(CLAIM, number, sender=other) == refusal("NothingToClaim(uint256)", number)


def test_claim_many_is_all_or_nothing(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, 4 * ETHER)
    numbers = [pool.request(staker, ETHER, other) for _ in range(3)]
    boa.env.time_travel(blocks=2)
    pool.report(0)
    before = boa.env.get_balance(other)
    refused = pool.refused(CLAIM_MANY, [1, 2, 2], sender=staker)
    assert refused == refusal("NothingToClaim(uint256)", 2)
    pool.call(CLAIM_MANY, numbers, sender=staker)
    assert boa.env.get_balance(other) - before == 3 * ETHER
    assert pool.call(CLAIM_MANY, [], sender=staker) == b""


def test_a_receiver_that_takes_nothing_can_be_replaced(pool: PoolVM, staker: str, other: str) -> None:
    stubborn = pool.deposits.contract.address
    pool.stake(staker, 4 * ETHER)
    request = pool.request(staker, ETHER, stubborn)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    assert pool.refused(CLAIM, request, sender=staker) == refusal("ETHTransferFailed()")
    assert pool.refused(REDIRECT, request, other, sender=other) == refusal("NothingToClaim(uint256)", request)
    assert pool.refused(REDIRECT, 9, other, sender=other) == refusal("NothingToClaim(uint256)", 9)
    refused = pool.refused(REDIRECT, request, pool.address, sender=staker)
    assert refused == refusal("InvalidReceiver(address)", pool.address)
    pool.call(REDIRECT, request, other, sender=staker)
    assert pool.logs == [event("WithdrawalRedirected(uint256,address)", request, other, indexed=2)]
    before = boa.env.get_balance(other)
    pool.call(CLAIM, request, sender=other)
    assert boa.env.get_balance(other) - before == ETHER
    assert pool.refused(REDIRECT, request, staker, sender=staker) == refusal("NothingToClaim(uint256)", request)


GREEDY = """
interface Pool:
    def claim(id: uint256): nonpayable
    def stake() -> uint256: payable
pool: address
calls: public(uint256)
@deploy
def __init__(pool: address):
    self.pool = pool
@external
@payable
def __default__():
    self.calls += 1
    ok: bool = raw_call(
        self.pool, abi_encode(convert(1, uint256), method_id=method_id("claim(uint256)")), revert_on_failure=False
    )
    assert not ok
    ok = raw_call(self.pool, method_id("stake()"), value=msg.value, revert_on_failure=False)
    assert not ok
"""


def test_a_receiver_that_calls_again_gets_nothing_more(pool: PoolVM, staker: str) -> None:
    greedy = boa.loads(GREEDY, pool.address)
    pool.stake(staker, 4 * ETHER)
    request = pool.request(staker, ETHER, greedy.address)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    pool.call(CLAIM, request, sender=staker)
    assert greedy.calls() == 1
    assert boa.env.get_balance(greedy.address) == ETHER
    assert pool.held == 3 * ETHER


def test_leaving_goes_on_while_paused(pool: PoolVM, staker: str) -> None:
    pool.stake(staker, 4 * ETHER)
    first, second = pool.request(staker, ETHER), pool.request(staker, ETHER)
    boa.env.time_travel(blocks=2)
    pool.report(0)
    third = pool.request(staker, ETHER)
    pool.call(PAUSE, "trouble", sender=pool.members[0])
    until = boa.env.timestamp + 7 * DAY
    assert pool.refused(STAKE, sender=staker, value=ETHER) == refusal("PoolPaused(uint256)", until)
    pool.request(staker, ETHER)
    pool.call(FINALIZE, 9, sender=staker)
    pool.call(CLAIM_MANY, [first, second], sender=staker)
    assert pool.withdrawal(third)[5] == 1


# The token


def test_token_names(pool: PoolVM) -> None:
    assert pool.read("name()", ["string"]) == ("SSV Pool Share",)
    assert pool.read("symbol()", ["string"]) == ("sspETH",)
    assert pool.number("decimals()") == 18


def test_shares_are_moved_by_owners_and_those_they_allow(pool: PoolVM, staker: str, other: str) -> None:
    spender = pool.account()
    pool.stake(staker, ETHER)
    transfer, take = "transfer(address,uint256)", "transferFrom(address,address,uint256)"
    assert pool.call(transfer, other, 10, sender=staker) == (1).to_bytes(32, "big")
    assert pool.logs == [event(TRANSFER, staker, other, 10, indexed=2)]
    refused = pool.refused(transfer, staker, 11, sender=other)
    assert refused == refusal("InsufficientShares(uint256,uint256)", 10, 11)
    refused = pool.refused(take, staker, other, 1, sender=spender)
    assert refused == refusal("InsufficientAllowance(uint256,uint256)", 0, 1)
    pool.call("approve(address,uint256)", spender, 30, sender=staker)
    assert pool.logs == [event("Approval(address,address,uint256)", staker, spender, 30, indexed=2)]
    pool.call(take, staker, other, 20, sender=spender)
    assert pool.number("allowance(address,address)", staker, spender) == 10
    assert pool.shares(other) == 30
    pool.call("approve(address,uint256)", spender, UNLIMITED, sender=staker)
    pool.call(take, staker, other, 20, sender=spender)
    assert pool.number("allowance(address,address)", staker, spender) == UNLIMITED
    refused = pool.refused(take, staker, other, 2 * ETHER, sender=spender)
    assert refused == refusal("InsufficientShares(uint256,uint256)", ETHER - 50, 2 * ETHER)


def test_moving_shares_to_oneself_makes_none(pool: PoolVM, staker: str) -> None:
    pool.stake(staker, ETHER)
    pool.call("transfer(address,uint256)", staker, ETHER, sender=staker)
    assert (pool.shares(staker), pool.supply) == (ETHER, ETHER)


def test_shares_are_not_sent_where_they_would_stay(pool: PoolVM, staker: str) -> None:
    pool.stake(staker, ETHER)
    pool.call("approve(address,uint256)", staker, UNLIMITED, sender=staker)
    for receiver in (ZERO_ADDRESS, pool.address):
        for call in (
            ("transfer(address,uint256)", receiver, 1),
            ("transferFrom(address,address,uint256)", staker, receiver, 1),
        ):
            assert pool.refused(*call, sender=staker) == refusal("InvalidReceiver(address)", receiver)


def test_queued_shares_are_nobodys_to_spend(pool: PoolVM, staker: str, other: str) -> None:
    pool.stake(staker, ETHER)
    pool.request(staker, ETHER)
    refused = pool.refused("transferFrom(address,address,uint256)", pool.address, other, 1, sender=other)
    assert refused == refusal("InsufficientAllowance(uint256,uint256)", 0, 1)
