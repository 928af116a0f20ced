"""What stakers, strangers, a liquidator and the owner do with a staking pool, each call beside the model."""

from typing import Any

import boa
from contract_vm import refusal
from pool_scene import COMMITTEES, WEEK, Draw, PoolScene
from pool_vm import (
    ANNOUNCE_PARAMETERS,
    CANCEL,
    CLAIM,
    CLAIM_MANY,
    DAY,
    ETHER,
    EXECUTE_PARAMETERS,
    EXIT,
    FINALIZE,
    PAUSE,
    REGISTER,
    REQUEST,
    STAKE,
    STAKE_FOR,
    UNPAUSE,
    Limits,
    deposit_root,
    key_of,
)
from registry_vm import CLUSTER_LIQUIDATED, LIQUIDATE, NEW_CLUSTER, ZERO_ADDRESS


class Crowd(PoolScene):
    """Who needs no signatures."""

    # Stakers

    def stake(self, draw: Draw) -> None:
        sender, receiver, wei = self.staker(draw), self.who(draw), self.wei(draw)
        errors = (self.stop_error(), self.books.stake_error(wei))
        call = draw.choice(((STAKE,), (STAKE_FOR, self.names[receiver])))
        if self.attempt(errors, *call, sender=self.names[sender], value=wei):
            self.books.stake(receiver if len(call) > 1 else sender, wei)

    def transfer(self, draw: Draw) -> None:
        sender, receiver = self.who(draw), self.who(draw)
        balance = self.books.shares.get(sender, 0)
        amount = balance * draw.number(0, 11) // 10
        error = refusal("InsufficientShares(uint256,uint256)", balance, amount) if amount > balance else None
        call = ("transfer(address,uint256)", self.names[receiver], amount)
        if self.attempt((error,), *call, sender=self.names[sender]):
            self.books.shares[sender] = balance - amount
            self.books.mint(receiver, amount)

    def request(self, draw: Draw) -> None:
        name = self.who(draw)
        balance = self.books.shares.get(name, 0)
        amount = draw.choice((balance, balance, balance // 2, draw.number(0, balance), balance + 1))
        error = self.books.request_error(name, amount)
        if self.attempt((error,), REQUEST, amount, self.names[name], sender=self.names[name]):
            request = self.books.request(name, amount, self.block)
            number = len(self.books.requests)
            found = self.pool.withdrawal(number)
            assert found[2:] == (amount, request.assets, self.block, 1), (
                f"request {number}: {found}, expected {request}"
            )

    def finalize(self, draw: Draw) -> None:
        limit = draw.choice((0, 1, 3, 256, 1_000))
        returned = self.pool.call(FINALIZE, limit, sender=self.stranger)
        assert int.from_bytes(returned, "big") == self.books.finalize(min(limit, 256))

    def claim_error(self, number: int) -> bytes | None:
        requests = self.books.requests
        ready = 0 < number <= len(requests) and requests[number - 1].state == 2
        return None if ready else refusal("NothingToClaim(uint256)", number)

    def claim(self, draw: Draw) -> None:
        number = draw.number(0, len(self.books.requests) + 1)
        self.pay_out([number], (CLAIM, number))

    def claim_many(self, draw: Draw) -> None:
        waiting = [number for number, request in enumerate(self.books.requests, 1) if request.state == 2]
        numbers = waiting[: draw.number(0, 8)] + draw.choice(([], [], [draw.number(0, 3)]))
        self.pay_out(list(dict.fromkeys(numbers)), (CLAIM_MANY, list(dict.fromkeys(numbers))))

    def pay_out(self, numbers: list[int], call: tuple[Any, ...]) -> None:
        owners = {request.owner for request in self.books.requests}
        before = {name: boa.env.get_balance(self.names[name]) for name in owners}
        if not self.attempt([self.claim_error(number) for number in numbers], *call, sender=self.stranger):
            return
        for number in numbers:
            before[self.books.requests[number - 1].owner] += self.books.claim(number)
        assert {name: boa.env.get_balance(self.names[name]) for name in owners} == before

    # Strangers

    def gift(self, draw: Draw) -> None:
        wei = draw.choice((draw.number(0, 1_000), draw.number(0, ETHER // 100), draw.number(0, 3 * ETHER)))
        if draw.number(0, 1):
            self.pool.call("()", sender=self.stranger, value=wei)
        else:
            self.pool.give(wei)
        self.books.unbooked += wei

    def strangers_deposit(self, draw: Draw) -> None:
        key, signature, credentials = key_of(draw.number(0, 30)), bytes(96), bytes(32)
        root = deposit_root(key, credentials, signature, 10**9)
        call = ("deposit(bytes,bytes,bytes,bytes32)", key, credentials, signature, root)
        self.pool.deposits.call(*call, sender=self.stranger, value=ETHER)

    def stranger_tries(self, draw: Draw) -> None:
        """What only others may do."""
        sender = self.stranger
        stranger = refusal("NotMember(address)", sender)
        owner = refusal("CallerNotOwnerWithData(address,address)", sender, self.pool.governor)
        call, error = draw.choice(
            (
                ((REGISTER, key_of(0), [1, 2, 3, 4], b"", 0, NEW_CLUSTER), stranger),
                ((EXIT, [key_of(0)], [1, 2, 3, 4]), stranger),
                ((PAUSE, ""), stranger),
                ((UNPAUSE,), owner),
                ((CANCEL,), owner),
                ((EXECUTE_PARAMETERS,), owner),
                ((ANNOUNCE_PARAMETERS, Limits().encoded(sender)), owner),
                (("transferOwnership(address)", sender), owner),
                (("acceptOwnership()",), refusal("CallerNotOwnerWithData(address,address)", sender, ZERO_ADDRESS)),
            )
        )
        self.attempt((error,), *call, sender=sender)

    def liquidate(self, draw: Draw) -> None:
        ids = draw.choice(COMMITTEES)
        cluster = self.clusters[ids]
        if cluster == NEW_CLUSTER or not cluster[3]:
            return
        held = self.held_by_cluster(ids)
        call = (LIQUIDATE, self.pool.address, list(ids), cluster)
        if not self.dry(ids, cluster[0], held):
            refused = self.pool.registry.refused(*call, sender=self.stranger)
            assert refused == refusal("ClusterNotLiquidatable()")
            return
        before = boa.env.get_balance(self.stranger)
        self.pool.registry.call(*call, sender=self.stranger)
        assert boa.env.get_balance(self.stranger) - before <= held + 100_000, "no more than what the cluster held"
        self.clusters[ids] = self.pool.registry.cluster_of(CLUSTER_LIQUIDATED)

    # Owner and time

    def pause(self, draw: Draw) -> None:
        sender = draw.choice((self.pool.governor, self.names["member 1"]))
        since, until = self.paused
        soon = refusal("PauseTooSoon(uint256)", until + WEEK) if since and self.now < until + WEEK else None
        if self.attempt((soon,), PAUSE, "why", sender=sender):
            self.paused = self.now, self.now + WEEK

    def unpause(self, draw: Draw) -> None:
        error = None if self.now < self.paused[1] else refusal("NotPaused()")
        if self.attempt((error,), UNPAUSE, sender=self.pool.governor):
            self.paused = self.paused[0], self.now

    def announce(self, draw: Draw) -> None:
        limits = Limits(
            operator_fee=draw.number(0, 1_100),
            treasury_fee=draw.number(0, 1_000),
            yearly_gain=draw.choice((100, 1_000, 5_000)),
            loss=draw.choice((500, 1_000, 5_000)),
            budget=draw.choice((0, 100, 1_000, 1_001)),
        )
        wrong = limits.operator_fee + limits.treasury_fee > 2_000 or limits.budget > 1_000
        call = (ANNOUNCE_PARAMETERS, limits.encoded(self.pool.treasury))
        if self.attempt((refusal("InvalidParameters()") if wrong else None,), *call, sender=self.pool.governor):
            self.announced = limits, self.now + 14 * DAY

    def execute(self, draw: Draw) -> None:
        errors: tuple[bytes | None, ...] = (refusal("NotAnnounced()"),)
        if self.announced:
            when = self.announced[1]
            errors = (refusal("TooEarly(uint256)", when) if self.now < when else None,)
        if self.attempt(errors, EXECUTE_PARAMETERS, sender=self.pool.governor) and self.announced:
            self.books.limits, self.announced = self.announced[0], None

    def wait(self, draw: Draw) -> None:
        low, high = draw.choice(((1, 30), (1, 30), (300, 7_300), (7_200, 120_000)))
        boa.env.time_travel(blocks=draw.number(low, high))
