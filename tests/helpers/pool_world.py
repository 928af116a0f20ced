"""A staking pool among all who deal with it, one random call after the other, each beside the model of its books.

The same actions are driven by Hypothesis (tests/contracts/test_pool_states.py) and by scripts/contract-soak.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import boa
from contract_vm import refusal
from pool_model import BASIS, TREASURY, Books
from pool_vm import (
    ALLOW,
    ANNOUNCE_PARAMETERS,
    CANCEL,
    CLAIM,
    CLAIM_MANY,
    DAY,
    DEPOSIT,
    ETHER,
    EXECUTE_PARAMETERS,
    EXIT,
    FINALIZE,
    FUND,
    PAUSE,
    PAY,
    REACTIVATE,
    REFUND,
    REGISTER,
    REMOVE,
    REPORT,
    REQUEST,
    STAKE,
    STAKE_FOR,
    UNPAUSE,
    Limits,
    PoolVM,
    Report,
    deposit_root,
    key_of,
)
from registry_vm import CLUSTER_LIQUIDATED, GET_BALANCE, LIQUIDATE, NEW_CLUSTER, ZERO_ADDRESS

GWEI = 10**9
THRESHOLD = 21_480
FEES = (GWEI, 2 * GWEI, 0, 5 * GWEI, 3 * GWEI)
COMMITTEES = ((1, 2, 3, 4), (2, 3, 4, 5))
WEEK = 7 * DAY
T = TypeVar("T")


class Draw(Protocol):
    """Where chance comes from."""

    def number(self, low: int, high: int) -> int:
        """A number of the range, ends included."""

    def choice(self, values: Sequence[T]) -> T:
        """One of the values."""


class PoolWorld:
    """A new pool with four stakers, four members, a liquidator and two committees of operators.

    Args:
        limits: the pool's parameters.
        thorough: after how many steps everybody's shares and the queue are compared too, not the books alone.
    """

    def __init__(self, limits: Limits, thorough: int = 1) -> None:
        self.thorough, self.steps = thorough, 0
        self.pool = PoolVM(limits, FEES)
        self.names = {f"staker {number}": self.pool.account() for number in range(4)}
        self.names |= {f"member {number}": member for number, member in enumerate(self.pool.members)}
        self.names[TREASURY] = self.pool.treasury
        self.stranger = self.pool.account()
        self.books = Books(limits, [f"member {number}" for number in range(4)], self.pool.created)
        self.clusters = dict.fromkeys(COMMITTEES, NEW_CLUSTER)
        self.allowed = dict.fromkeys(COMMITTEES, False)
        self.nonce = 0
        self.keys: dict[bytes, tuple[tuple[int, ...], int]] = {}
        """Each key's committee and state."""
        self.chain: dict[bytes, int] = {}
        """The beacon chain: funded keys and their balances, wei; none: withdrawn."""
        self.done = 0
        """Validators that were asked to exit and were withdrawn."""
        self.paused = (0, 0)
        """Since when, until when."""
        self.announced: tuple[Limits, int] | None = None
        self.may_fall = False
        """Whether the last action may have lowered the price."""
        self.price = (0, 0)

    # Helpers

    @property
    def now(self) -> int:
        """Seconds."""
        return int(boa.env.timestamp)

    @property
    def block(self) -> int:
        """Number of the block that calls are in."""
        return int(boa.env.evm.patch.block_number)

    def attempt(self, errors: Sequence[bytes | None], *call: Any, sender: str, value: int = 0) -> bool:
        """A call that must be refused with the first error there is, else accepted. Whether it was accepted."""
        error = next((error for error in errors if error is not None), None)
        if error is None:
            self.pool.call(*call, sender=sender, value=value)
            return True
        got = self.pool.refused(*call, sender=sender, value=value)
        assert got == error, f"{call[0]}: refused with {got.hex()}, expected {error.hex()}"
        return False

    def stop_error(self) -> bytes | None:
        """Refusal of what is stopped by a pause."""
        return refusal("PoolPaused(uint256)", self.paused[1]) if self.now < self.paused[1] else None

    def signers(self, draw: Draw) -> tuple[int, ...]:
        """Mostly a quorum."""
        return draw.choice(((0, 1, 2), (1, 2, 3), (0, 1, 2, 3), (0, 1, 3), (0, 2)))

    def few(self, signers: Sequence[int]) -> bytes | None:
        """Refusal of too few signatures."""
        return refusal("QuorumMissing(uint256,uint256)", len(signers), 3) if len(signers) < 3 else None

    def wei(self, draw: Draw) -> int:
        """Amounts of every size."""
        low, high = draw.choice(((0, 10**16), (10**16, ETHER), (ETHER, 40 * ETHER), (30 * ETHER, 400 * ETHER)))
        return draw.number(low, high)

    def who(self, draw: Draw) -> str:
        """Somebody who may own shares."""
        return draw.choice(tuple(self.names))

    def staker(self, draw: Draw) -> str:
        """Somebody with ether."""
        return f"staker {draw.number(0, 3)}"

    def burn(self, ids: Sequence[int]) -> int:
        """What a validator costs in a block, wei."""
        return sum(FEES[number - 1] for number in ids)

    def held_by_cluster(self, ids: tuple[int, ...]) -> int:
        """What a cluster holds when all is paid; its hash must be the registry's."""
        return self.pool.registry.number(GET_BALANCE, self.pool.address, list(ids), self.clusters[ids])

    def dry(self, ids: tuple[int, ...], count: int, wei: int) -> bool:
        """Whether a cluster could be liquidated."""
        return bool(count) and wei < THRESHOLD * self.burn(ids) * count

    def cluster_after(self, ids: tuple[int, ...], count: int, wei: int) -> None:
        """Keep the cluster's new state, which must be the expected one."""
        self.pool.cluster = self.clusters[ids]
        after = self.pool.registry_cluster()
        assert (after[0], after[4]) == (count, wei), f"cluster {ids}: {after}, expected {count} validators, {wei} wei"
        self.clusters[ids] = after

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

    # Members

    def allow(self, draw: Draw) -> None:
        ids, allowed, signers = draw.choice(COMMITTEES), draw.choice((True, True, False)), self.signers(draw)
        nonce = self.nonce + draw.choice((0, 0, 0, 1))
        wrong = refusal("WrongNonce(uint256)", self.nonce) if nonce != self.nonce else None
        approvals = self.pool.approvals("Committee", (list(ids), allowed, nonce), signers)
        call = (ALLOW, list(ids), allowed, nonce, approvals)
        if self.attempt((wrong, self.few(signers)), *call, sender=self.stranger):
            self.nonce += 1
            self.allowed[ids] = allowed

    def register(self, draw: Draw) -> None:
        ids, member = draw.choice(COMMITTEES), f"member {draw.number(0, 3)}"
        key = key_of(len(self.keys)) if draw.number(0, 4) or not self.keys else draw.choice(tuple(self.keys))
        cluster, books = self.clusters[ids], self.books
        least = THRESHOLD * self.burn(ids) * (cluster[0] + 1)
        payment = draw.choice((0, least, 3 * least, books.allowance(self.now) + 1, books.allowance(self.now) // 2))
        needed = (books.waiting + 1) * DEPOSIT
        held = 0 if cluster == NEW_CLUSTER else self.held_by_cluster(ids)
        short = self.dry(ids, cluster[0] + 1, held + payment)
        errors = (
            self.stop_error(),
            None if self.allowed[ids] else refusal("CommitteeNotAllowed()"),
            refusal("KeyUsed(bytes)", key) if key in self.keys else None,
            refusal("NotEnoughFree(uint256,uint256)", books.free, needed) if books.free < needed else None,
            books.spend_error(payment, self.now),
            None if cluster[3] else refusal("ClusterIsLiquidated()"),
            refusal("InsufficientBalance()") if short else None,
        )
        call = (REGISTER, key, list(ids), b"shares", payment, cluster)
        if self.attempt(errors, *call, sender=self.names[member]):
            self.cluster_after(ids, cluster[0] + 1, held + payment)
            books.spend(payment, self.now)
            books.waiting += 1
            self.keys[key] = ids, 1
            self.may_fall = True

    def fund(self, draw: Draw) -> None:
        waiting = [key for key, (_, state) in self.keys.items() if state == 1]
        key = draw.choice(waiting) if waiting and draw.number(0, 5) else key_of(draw.number(0, len(self.keys)))
        state, signers, books = self.keys.get(key, ((), 0))[1], self.signers(draw), self.books
        funding = self.pool.funding(key, signers)
        stale = None
        if not draw.number(0, 9):
            self.strangers_deposit(draw)
            found = self.pool.deposits.call("get_deposit_root()", sender=ZERO_ADDRESS)
            stale = refusal("DepositRootChanged(bytes32,bytes32)", funding[3], found)
        errors = (
            self.stop_error(),
            refusal("WrongValidatorState(bytes,uint8)", key, state) if state != 1 else None,
            self.few(signers),
            stale,
            refusal("NotEnoughFree(uint256,uint256)", books.free, DEPOSIT) if books.free < DEPOSIT else None,
        )
        if self.attempt(errors, FUND, *funding, sender=self.stranger):
            books.fund()
            self.keys[key] = self.keys[key][0], 2
            self.chain[key] = DEPOSIT

    def exit(self, draw: Draw) -> None:
        ids = draw.choice(COMMITTEES)
        mine = [key for key, (committee, state) in self.keys.items() if committee == ids and state in (2, 3)]
        keys = mine[draw.number(0, 2) :][: draw.number(1, 3)] or [key_of(len(self.keys))]
        self.ask_exits(ids, keys, self.names[f"member {draw.number(0, 3)}"])

    def ask_exits(self, ids: tuple[int, ...], keys: list[bytes], sender: str) -> bool:
        """Ask for exits, or see them refused."""
        errors: list[bytes | None] = []
        for place, key in enumerate(keys):
            state = self.keys.get(key, ((), 0))[1]
            covered = self.books.buffered + DEPOSIT * (self.books.exits_under_way + place)
            errors.append(refusal("WrongValidatorState(bytes,uint8)", key, state) if state != 2 else None)
            errors.append(refusal("NoExitNeeded()") if self.books.pending <= covered else None)
        if not self.attempt(errors, EXIT, keys, list(ids), sender=sender):
            return False
        self.books.exits_asked += len(keys)
        self.keys |= dict.fromkeys(keys, (ids, 3))
        return True

    def remove(self, draw: Draw) -> None:
        leaving = [
            key for key, (_, state) in self.keys.items() if state in (1, 4) or (state > 1 and not self.chain[key])
        ]
        if not leaving:
            return
        key, signers = draw.choice(leaving), self.signers(draw)
        ids, state = self.keys[key]
        cluster = self.clusters[ids]
        errors = (
            refusal("WrongValidatorState(bytes,uint8)", key, state) if state == 4 else None,
            self.few(signers),
        )
        held = self.held_by_cluster(ids)
        call = (REMOVE, key, list(ids), cluster, self.pool.approvals("Removal", (key,), signers))
        if self.attempt(errors, *call, sender=self.stranger):
            self.cluster_after(ids, cluster[0] - 1, held)
            self.books.waiting -= state == 1
            self.keys[key] = ids, 4

    def with_nonce(self, draw: Draw, kind: str, ids: tuple[int, ...], wei: int) -> tuple[list[bytes | None], Any]:
        """Errors of a call about a cluster's money, and its last arguments."""
        nonce, signers = self.nonce + draw.choice((0, 0, 0, 0, 1)), self.signers(draw)
        wrong = refusal("WrongNonce(uint256)", self.nonce) if nonce != self.nonce else None
        return [wrong, self.few(signers)], (nonce, self.pool.approvals(kind, (list(ids), wei, nonce), signers))

    def payment(self, draw: Draw) -> int:
        """Mostly within the budget."""
        allowance = self.books.allowance(self.now)
        return draw.choice((allowance * draw.number(0, 100) // 400, allowance, allowance + 1, 10**15))

    def pay(self, draw: Draw) -> None:
        ids, wei = draw.choice(COMMITTEES), self.payment(draw)
        cluster = self.clusters[ids]
        signed, last = self.with_nonce(draw, "ClusterPayment", ids, wei)
        none = refusal("ClusterDoesNotExist()") if cluster == NEW_CLUSTER else None
        held = 0 if none else self.held_by_cluster(ids)
        errors = (self.stop_error(), *signed, self.books.spend_error(wei, self.now), none)
        if self.attempt(errors, PAY, list(ids), wei, cluster, *last, sender=self.stranger):
            self.cluster_after(ids, cluster[0], held + wei)
            self.nonce += 1
            self.books.spend(wei, self.now)
            self.may_fall = True

    def reactivate(self, draw: Draw) -> None:
        ids, wei = draw.choice(COMMITTEES), self.payment(draw)
        cluster = self.clusters[ids]
        signed, last = self.with_nonce(draw, "ClusterReactivation", ids, wei)
        exists = cluster != NEW_CLUSTER
        errors = (
            self.stop_error(),
            *signed,
            self.books.spend_error(wei, self.now),
            None if exists else refusal("ClusterDoesNotExist()"),
            refusal("ClusterAlreadyEnabled()") if cluster[3] else None,
            refusal("InsufficientBalance()") if self.dry(ids, cluster[0], cluster[4] + wei) else None,
        )
        if self.attempt(errors, REACTIVATE, list(ids), wei, cluster, *last, sender=self.stranger):
            self.cluster_after(ids, cluster[0], cluster[4] + wei)
            self.nonce += 1
            self.books.spend(wei, self.now)
            self.may_fall = True

    def refund(self, draw: Draw) -> None:
        ids = draw.choice(COMMITTEES)
        cluster = self.clusters[ids]
        exists = cluster != NEW_CLUSTER
        held = self.held_by_cluster(ids) if exists else 0
        wei = draw.choice((held // 2, held // 10, held, held + 1))
        signed, last = self.with_nonce(draw, "ClusterRefund", ids, wei)
        short = wei > held or self.dry(ids, cluster[0], held - wei)
        errors = (
            *signed,
            None if exists else refusal("ClusterDoesNotExist()"),
            None if cluster[3] else refusal("ClusterIsLiquidated()"),
            refusal("InsufficientBalance()") if short else None,
        )
        if self.attempt(errors, REFUND, list(ids), wei, cluster, *last, sender=self.stranger):
            self.cluster_after(ids, cluster[0], held - wei)
            self.nonce += 1
            self.books.refund(wei)

    # The beacon chain

    def earn(self, draw: Draw) -> None:
        """Validators earn or lose a little; what is above 32 ether may be swept to the pool."""
        for key in self.chain:
            if self.chain[key]:
                self.chain[key] += draw.number(-(10**14), 10**15)
        if draw.number(0, 1):
            for key, balance in self.chain.items():
                self.arrive(max(0, balance - DEPOSIT))
                self.chain[key] = min(balance, DEPOSIT)

    def arrive(self, wei: int) -> None:
        """The beacon chain pays the pool."""
        self.pool.give(wei)
        self.books.unbooked += wei

    def slash(self, draw: Draw) -> None:
        """A validator loses much, within what a report may book."""
        running = [key for key, balance in self.chain.items() if balance > 17 * ETHER]
        unreported = self.books.beacon + self.books.deposited - self.books.counted - sum(self.chain.values())
        loss = draw.number(ETHER // 100, 2 * ETHER)
        if running and max(0, unreported) + loss < self.books.assets * self.books.limits.loss // BASIS // 4:
            self.chain[draw.choice(running)] -= loss

    def withdraw(self, draw: Draw) -> None:
        """A validator that was asked to exit is withdrawn; now and then one that was not."""
        asked = [key for key, (_, state) in self.keys.items() if state == 3 and self.chain[key]]
        left = [key for key, balance in self.chain.items() if balance and self.keys[key][1] == 2]
        if left and not draw.number(0, 15):
            self.withdrawn(draw.choice(left))
        elif asked:
            self.withdrawn(draw.choice(asked))

    def withdrawn(self, key: bytes) -> None:
        """All of a validator comes back."""
        self.arrive(self.chain[key])
        self.chain[key] = 0
        self.done += self.keys[key][1] == 3

    # Reports

    def true_report(self) -> Report:
        """What honest members sign of the block before."""
        last = self.books.last
        return Report(
            number=last.number + 1,
            slot=max(last.slot + 1, self.block),
            block=self.block - 1,
            beacon=sum(self.chain.values()),
            counted=self.books.deposited,
            received=self.books.received + self.books.unbooked,
            exited=self.done,
        )

    def report(self, draw: Draw) -> None:
        boa.env.time_travel(blocks=2)
        self.send(self.true_report(), self.signers(draw))

    def false_report(self, draw: Draw) -> None:
        """One that a quorum has signed nevertheless; whatever is possible must still leave the books whole."""
        boa.env.time_travel(blocks=2)
        true, books = self.true_report(), self.books
        field, value = draw.choice(
            (
                ("number", true.number + draw.choice((-1, 1))),
                ("slot", books.last.slot),
                ("block", draw.choice((books.last.block, self.block, max(0, self.block - 7_300)))),
                ("beacon", true.beacon + draw.number(0, ETHER)),
                ("beacon", true.beacon // 2),
                ("beacon", true.beacon * 3 // 4),
                ("counted", books.deposited + draw.choice((-1, 1)) if books.deposited else 1),
                ("received", true.received + draw.choice((-1, 1)) if true.received else 1),
                ("exited", true.exited + draw.number(0, 2)),
            )
        )
        self.send(replace(true, **{field: value}), (0, 1, 2))

    def send(self, report: Report, signers: Sequence[int]) -> bool:
        """Send a report; whether it was booked."""
        errors: list[bytes | None] = [self.stop_error()]
        error = self.books.report_error(report, self.block, self.now)
        bounds = error is not None and error[:4] == refusal("ReportOutOfBounds(int256,int256,int256)", 0, 0, 0)[:4]
        errors += [self.few(signers), error] if bounds else [error, self.few(signers)]
        approvals = self.pool.approvals("Report", report.values, signers)
        loss = self.books.change(report) < 0
        if not self.attempt(errors, REPORT, report.values, approvals, sender=self.stranger):
            return False
        self.books.report(report, self.now)
        self.may_fall = loss
        return True

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

    # One step

    def step(self, action: Callable[[Draw], None], draw: Draw) -> None:
        """An action, some blocks after the last one, and what must hold after it."""
        boa.env.time_travel(blocks=draw.number(1, 5))
        self.price, self.may_fall = (self.books.assets, self.books.supply), False
        action(draw)
        self.steps += 1
        self.check_books()
        if self.steps % self.thorough == 0:
            self.check_shares_and_queue()

    def check_books(self) -> None:
        """The contract's books are the model's, it holds what it owes, and the price has not fallen by itself."""
        pool, books = self.pool, self.books
        found = [
            pool.number(f"{name}()") for name in ("buffered", "reserved", "unbooked", "totalAssets", "totalSupply")
        ]
        expected = [books.buffered, books.reserved, books.unbooked, books.assets, books.supply]
        assert found == expected, f"books: {found}, expected {expected}"
        assert pool.held == books.buffered + books.reserved + books.unbooked
        assets, supply = self.price
        if supply and books.supply and not self.may_fall:
            assert books.assets * supply >= assets * books.supply, "the price fell by itself"

    def check_shares_and_queue(self) -> None:
        """Every share is somebody's, and the queue is served in its order."""
        pool, books = self.pool, self.books
        found = [pool.shares(account) for account in self.names.values()]
        assert found == [books.shares.get(name, 0) for name in self.names], "shares"
        assert pool.shares(pool.address) == books.queued
        assert sum(found) + books.queued == books.supply, "all shares are somebody's"
        found = [
            pool.number(f"{name}()") for name in ("pendingWithdrawals", "fundable", "nextToFinalize", "exitsUnderWay")
        ]
        expected = [books.pending, books.free, books.ready + 1, books.exits_under_way]
        assert found == expected, f"queue: {found}, expected {expected}"
        assert pool.number("clusterAllowance()") == books.allowance(self.now)
        states = [request.state for request in books.requests]
        assert all(state > 1 for state in states[: books.ready]), "first in, first out"
        assert all(state == 1 for state in states[books.ready :]), "first in, first out"

    def check_all(self) -> None:
        """What is looked at now and then: shares, every request, key and cluster."""
        self.check_shares_and_queue()
        for number, request in enumerate(self.books.requests, 1):
            owner = self.names[request.owner].lower()
            expected = (owner, owner, request.shares, request.assets, request.block, request.state)
            assert self.pool.withdrawal(number) == expected
        for key, (_, state) in self.keys.items():
            assert self.pool.state(key) == state
        assert self.pool.number("validatorCount()") == len(self.chain)
        for ids, cluster in self.clusters.items():
            if cluster != NEW_CLUSTER:
                self.held_by_cluster(ids)

    # The end

    def leave_all(self) -> None:
        """Everybody leaves and is paid; nothing stays that is not the treasury's."""
        for _ in range(200):
            for name in self.names:
                self.leave(name)
            boa.env.time_travel(seconds=14 * DAY)
            if not self.send(self.true_report(), (0, 1, 2)):
                self.allow_losses()
            for key, (ids, state) in list(self.keys.items()):
                if state == 2 and self.chain[key]:
                    self.ask_exits(ids, [key], self.names["member 0"])
            for key, (_, state) in self.keys.items():
                if state == 3 and self.chain[key]:
                    self.withdrawn(key)
            # What comes in last is the treasury's, which leaves it behind for itself again.
            if self.books.ready == len(self.books.requests) and self.left_over() <= {TREASURY}:
                break
        assert self.books.ready == len(self.books.requests), "requests that are never ready"
        assert self.left_over() <= {TREASURY}
        for number, request in enumerate(self.books.requests, 1):
            if request.state == 2:
                self.pay_out([number], (CLAIM, number))
        self.may_fall = True
        self.check_books()
        self.check_shares_and_queue()
        assert self.books.reserved == 0

    def left_over(self) -> set[str]:
        """Who still has shares."""
        return {name for name, shares in self.books.shares.items() if shares}

    def leave(self, name: str) -> None:
        """Ask for all that somebody has, in parts where it is too much at once."""
        while shares := self.books.shares.get(name, 0):
            worth = self.books.leaving(shares)
            part = shares if worth <= 1_000 * ETHER else shares * 999 * ETHER // worth
            assert self.attempt((), REQUEST, part, self.names[name], sender=self.names[name])
            self.books.request(name, part, self.block)

    def allow_losses(self) -> None:
        """The owner lets reports book higher losses, with the notice there is."""
        limits = replace(self.books.limits, loss=5_000)
        call = (ANNOUNCE_PARAMETERS, limits.encoded(self.pool.treasury))
        self.pool.call(*call, sender=self.pool.governor)
        boa.env.time_travel(seconds=14 * DAY)
        self.pool.call(EXECUTE_PARAMETERS, sender=self.pool.governor)
        self.books.limits, self.announced = limits, None

    ACTIONS: tuple[tuple[str, int], ...] = (
        ("stake", 10), ("transfer", 4), ("request", 8), ("finalize", 4), ("claim", 3), ("claim_many", 2),
        ("gift", 3), ("strangers_deposit", 1), ("stranger_tries", 1), ("liquidate", 2),
        ("allow", 2), ("register", 8), ("fund", 8), ("exit", 4), ("remove", 2),
        ("pay", 4), ("reactivate", 3), ("refund", 3),
        ("earn", 6), ("slash", 1), ("withdraw", 4), ("report", 12), ("false_report", 4),
        ("pause", 1), ("unpause", 5), ("announce", 1), ("execute", 1), ("wait", 6),
    )  # fmt: skip
    """Names of the actions, and how often each is taken."""
