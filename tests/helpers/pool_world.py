"""A staking pool among all who deal with it, one random call after the other, each beside the model of its books.

The same actions are driven by Hypothesis (tests/contracts/test_pool_states.py) and by scripts/contract-soak.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import boa
from contract_vm import refusal
from pool_crowd import Crowd
from pool_model import BASIS, TREASURY
from pool_scene import COMMITTEES, THRESHOLD, Draw
from pool_vm import (
    ALLOW,
    ANNOUNCE_PARAMETERS,
    CLAIM,
    DAY,
    DEPOSIT,
    ETHER,
    EXECUTE_PARAMETERS,
    EXIT,
    FUND,
    PAY,
    REACTIVATE,
    REFUND,
    REGISTER,
    REMOVE,
    REPORT,
    REQUEST,
    Report,
    key_of,
)
from registry_vm import NEW_CLUSTER, ZERO_ADDRESS


class PoolWorld(Crowd):
    """All of them: members and their reports, the beacon chain, and the end, when everybody leaves."""

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
            slot=self.block,
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
                ("slot", draw.choice((books.last.slot, 2**64 - 1))),
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
