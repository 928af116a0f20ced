"""A staking pool with its surroundings and the model of its books beside it: what actions need, and what must hold.

The actions are in pool_crowd.py and pool_world.py.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import boa
from contract_vm import refusal
from pool_model import TREASURY, Books
from pool_vm import (
    DAY,
    ETHER,
    Limits,
    PoolVM,
)
from registry_vm import GET_BALANCE, NEW_CLUSTER

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


class PoolScene:
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
        found = [pool.number(f"{name}()") for name in ("unbooked", "totalAssets", "totalSupply")]
        expected = [books.unbooked, books.assets, books.supply]
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
        names = ("buffered", "reserved", "pendingWithdrawals", "fundable", "nextToFinalize", "exitsUnderWay")
        found = [pool.number(f"{name}()") for name in names]
        expected = [books.buffered, books.reserved, books.pending, books.free, books.ready + 1, books.exits_under_way]
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
