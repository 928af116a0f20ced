"""The registry's books under long random sequences of calls and blocks, beside a model in plain Python."""

from dataclasses import dataclass, field, replace
from typing import Any

import boa
import pytest
from contract_vm import RefusedError, refusal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from registry_vm import (
    BULK_REGISTER,
    CLUSTER_DEPOSITED,
    CLUSTER_LIQUIDATED,
    CLUSTER_REACTIVATED,
    CLUSTER_WITHDRAWN,
    DEPOSIT,
    GET_BALANCE,
    LIQUIDATE,
    NEW_CLUSTER,
    REACTIVATE,
    REMOVE,
    REMOVE_OPERATOR,
    UNIT,
    VALIDATOR_REMOVED,
    WITHDRAW,
    RegistryVM,
)

pytestmark = [pytest.mark.contracts, pytest.mark.slow]

SETS = ((1, 2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5, 6, 7))
OPERATORS = 7
THRESHOLD = 21_480
GWEI = 10**9

owners = st.integers(0, 1)
sets = st.sampled_from(SETS)
numbers = st.integers(1, OPERATORS)
places = st.integers(0, 5)
fees = st.sampled_from((GWEI, 0, 2 * GWEI, 7 * GWEI + 3 * UNIT))
wei = st.one_of(st.integers(0, 10**6), st.integers(10**14, 4 * 10**15), st.integers(10**15, 10**17))
blocks = st.one_of(st.integers(1, 50), st.integers(THRESHOLD // 2, 3 * THRESHOLD))


@dataclass
class Operator:
    """What the model knows of an operator; amounts in units."""

    fee: int = 0
    index: int = 0
    earned: int = 0
    removed: bool = False


@dataclass(frozen=True)
class Book:
    """A cluster of the model."""

    state: tuple[Any, ...]
    marks: dict[int, int] = field(default_factory=dict)
    network_mark: int = 0


class AccountingModel(RuleBasedStateMachine):
    """Predicts every balance to the wei; the contract may refuse only what the model refuses."""

    @initialize(first=st.lists(fees, min_size=OPERATORS, max_size=OPERATORS), network_fee=fees)
    def deploy(self, first: list[int], network_fee: int) -> None:
        self.registry = RegistryVM(limit=3_000)
        self.governor = boa.env.eoa
        self.call("updateLiquidationThresholdPeriod(uint64)", THRESHOLD, sender=self.governor)
        self.call("updateNetworkFee(uint256)", network_fee, sender=self.governor)
        self.provider = self.registry.account()
        self.owners = [self.registry.account() for _ in range(2)]
        self.registry.operators(self.provider, OPERATORS, first)
        self.operators = {number: Operator(fee // UNIT) for number, fee in enumerate(first, 1)}
        self.network = Operator(network_fee // UNIT)
        self.books: dict[tuple[int, tuple[int, ...]], Book] = {}
        self.keys: dict[tuple[int, tuple[int, ...]], list[bytes]] = {}
        self.last_key = 0
        self.seen_indices: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = {}

    def call(self, *call: Any, sender: str, value: int = 0) -> None:
        self.registry.call(*call, sender=sender, value=value)

    def chosen(self, place: int) -> tuple[tuple[int, tuple[int, ...]], Book]:
        """One of the clusters that there are, some blocks after the last call."""
        self.pass_blocks(7)
        return list(self.books.items())[place % len(self.books)]

    def settle(self, book: Book, ids: tuple[int, ...]) -> Book:
        """Pay what is owed; the model's own words for the contract's rule."""
        count, _, _, active, balance = book.state
        if not active:
            return book
        dues = {number: (self.operators[number].index - book.marks.get(number, 0)) * count for number in ids}
        network_due = (self.network.index - book.network_mark) * count
        owed = sum(dues.values()) + network_due
        paid = min(owed, balance // UNIT)
        parts = {number: due * paid // owed if owed else 0 for number, due in dues.items()}
        for number, part in parts.items():
            self.operators[number].earned += part
        self.network.earned += paid - sum(parts.values())
        balance -= paid * UNIT
        marks = {number: self.operators[number].index for number in ids}
        state = (count, self.network.index, sum(marks.values()), True, balance)
        return Book(state, marks, self.network.index)

    def fails(self, state: tuple[Any, ...], ids: tuple[int, ...]) -> bool:
        """Whether a settled cluster cannot pay for the threshold."""
        burn = self.network.fee + sum(self.operators[number].fee for number in ids)
        return bool(state[0]) and state[4] < THRESHOLD * burn * state[0] * UNIT

    @rule(owner=owners, ids=sets, count=st.integers(1, 3), value=wei)
    def register(self, owner: int, ids: tuple[int, ...], count: int, value: int) -> None:
        self.pass_blocks(3)
        where = owner, ids
        before = self.books.get(where, Book(NEW_CLUSTER))
        keys = [(self.last_key + place + 1).to_bytes(48, "big") for place in range(count)]
        call = (BULK_REGISTER, keys, list(ids), [b""] * count, before.state)
        sender = self.owners[owner]
        error = ""
        if not before.state[3]:
            error = "ClusterIsLiquidated()"
        elif any(self.operators[number].removed for number in ids):
            error = "OperatorDoesNotExist()"
        else:
            preview = self.preview(before, ids)
            if self.fails((preview[0] + count, *preview[1:4], preview[4] + value), ids):
                error = "InsufficientBalance()"
        if error:
            assert self.registry.refused(*call, sender=sender, value=value) == refusal(error)
            return
        after = self.registry.register(sender, keys, list(ids), before.state, value)
        settled = self.settle(before, ids)
        count_now, network_index, index, active, balance = settled.state
        assert after == (count_now + count, network_index, index, active, balance + value)
        self.books[where] = replace(settled, state=after)
        self.keys.setdefault(where, []).extend(keys)
        self.last_key += count

    def preview(self, book: Book, ids: tuple[int, ...]) -> tuple[Any, ...]:
        """The settled state, with nothing paid yet."""
        earned = {number: operator.earned for number, operator in self.operators.items()}
        network = self.network.earned
        settled = self.settle(book, ids).state
        for number, before in earned.items():
            self.operators[number].earned = before
        self.network.earned = network
        return settled

    @precondition(lambda self: self.books)
    @rule(place=places)
    def remove(self, place: int) -> None:
        where, book = self.chosen(place)
        owner, ids = where
        if not self.keys[where]:
            return
        key = self.keys[where].pop()
        self.call(REMOVE, key, list(ids), book.state, sender=self.owners[owner])
        settled = self.settle(book, ids)
        after = (settled.state[0] - 1, *settled.state[1:])
        assert self.registry.cluster_of(VALIDATOR_REMOVED) == after
        self.books[where] = replace(settled, state=after)

    @precondition(lambda self: self.books)
    @rule(place=places, value=wei)
    def deposit(self, place: int, value: int) -> None:
        (owner, ids), book = self.chosen(place)
        self.call(DEPOSIT, self.owners[owner], list(ids), book.state, sender=self.owners[1], value=value)
        settled = self.settle(book, ids)
        after = (*settled.state[:4], settled.state[4] + value)
        assert self.registry.cluster_of(CLUSTER_DEPOSITED) == after
        self.books[owner, ids] = replace(settled, state=after)

    @precondition(lambda self: self.books)
    @rule(place=places, part=st.integers(0, 100))
    def withdraw(self, place: int, part: int) -> None:
        (owner, ids), book = self.chosen(place)
        if not book.state[3]:
            return
        preview = self.preview(book, ids)
        amount = preview[4] * part // 100
        call = (WITHDRAW, list(ids), amount, book.state)
        if self.fails((*preview[:4], preview[4] - amount), ids):
            assert self.registry.refused(*call, sender=self.owners[owner]) == refusal("InsufficientBalance()")
            return
        self.call(*call, sender=self.owners[owner])
        settled = self.settle(book, ids)
        after = (*settled.state[:4], settled.state[4] - amount)
        assert self.registry.cluster_of(CLUSTER_WITHDRAWN) == after
        self.books[owner, ids] = replace(settled, state=after)

    @precondition(lambda self: self.books)
    @rule(place=places, by=owners)
    def liquidate(self, place: int, by: int) -> None:
        (owner, ids), book = self.chosen(place)
        call = (LIQUIDATE, self.owners[owner], list(ids), book.state)
        sender = self.owners[by]
        if not book.state[3]:
            assert self.registry.refused(*call, sender=sender) == refusal("ClusterIsLiquidated()")
            return
        preview = self.preview(book, ids)
        if owner != by and not self.fails(preview, ids):
            assert self.registry.refused(*call, sender=sender) == refusal("ClusterNotLiquidatable()")
            return
        before = boa.env.get_balance(sender)
        self.call(*call, sender=sender)
        self.settle(book, ids)
        after = (preview[0], 0, 0, False, 0)
        assert self.registry.cluster_of(CLUSTER_LIQUIDATED) == after
        assert boa.env.get_balance(sender) - before == preview[4]
        self.books[owner, ids] = Book(after)

    @precondition(lambda self: self.books)
    @rule(place=places, value=wei)
    def reactivate(self, place: int, value: int) -> None:
        (owner, ids), book = self.chosen(place)
        if book.state[3]:
            return
        marks = {number: self.operators[number].index for number in ids}
        after = (book.state[0], self.network.index, sum(marks.values()), True, book.state[4] + value)
        call = (REACTIVATE, list(ids), book.state)
        if self.fails(after, ids):
            refused = self.registry.refused(*call, sender=self.owners[owner], value=value)
            assert refused == refusal("InsufficientBalance()")
            return
        self.call(*call, sender=self.owners[owner], value=value)
        assert self.registry.cluster_of(CLUSTER_REACTIVATED) == after
        self.books[owner, ids] = Book(after, marks, self.network.index)

    @rule(number=numbers)
    def take_earnings(self, number: int) -> None:
        call = ("withdrawAllOperatorEarnings(uint64)", number)
        earned = self.operators[number].earned
        if not earned:
            assert self.registry.refused(*call, sender=self.provider) == refusal("InsufficientBalance()")
            return
        before = boa.env.get_balance(self.provider)
        self.call(*call, sender=self.provider)
        assert boa.env.get_balance(self.provider) - before == earned * UNIT
        self.operators[number].earned = 0

    @rule(number=st.integers(5, OPERATORS))
    def remove_operator(self, number: int) -> None:
        operator = self.operators[number]
        if operator.removed:
            return
        self.call(REMOVE_OPERATOR, number, sender=self.provider)
        operator.removed, operator.fee, operator.earned = True, 0, 0

    @rule(number=numbers, fee=fees)
    def reduce_fee(self, number: int, fee: int) -> None:
        operator = self.operators[number]
        if operator.removed:
            return
        call = ("reduceOperatorFee(uint64,uint256)", number, fee)
        if fee // UNIT >= operator.fee:
            assert self.registry.refused(*call, sender=self.provider) == refusal("FeeIncreaseNotAllowed()")
            return
        self.call(*call, sender=self.provider)
        operator.fee = fee // UNIT

    @rule(number=numbers)
    def raise_fee(self, number: int) -> None:
        operator = self.operators[number]
        fee = operator.fee * 21 // 20 * UNIT
        if operator.removed or not operator.fee:
            return
        self.call("declareOperatorFee(uint64,uint256)", number, fee, sender=self.provider)
        self.pass_blocks(50_400)
        try:
            self.call("executeOperatorFee(uint64)", number, sender=self.provider)
        except RefusedError as refused:
            raise AssertionError(f"operator {number}: {refused.data.hex()}") from None
        operator.fee = fee // UNIT

    @rule(fee=fees)
    def set_network_fee(self, fee: int) -> None:
        self.call("updateNetworkFee(uint256)", fee, sender=self.governor)
        self.network.fee = fee // UNIT

    @rule()
    def take_network_earnings(self) -> None:
        self.call("withdrawNetworkEarnings(uint256)", self.network.earned * UNIT, sender=self.governor)
        self.network.earned = 0

    @rule(count=blocks)
    def pass_blocks(self, count: int) -> None:
        boa.env.time_travel(blocks=count)
        for account in (*self.operators.values(), self.network):
            account.index += account.fee * count

    @invariant()
    def holds_to_the_wei_what_it_owes(self) -> None:
        held = boa.env.get_balance(self.registry.contract.address)
        owed = sum(book.state[4] for book in self.books.values())
        earned = self.network.earned + sum(operator.earned for operator in self.operators.values())
        assert held == owed + earned * UNIT

    @invariant()
    def fee_indices_never_fall(self) -> None:
        """Of the network and of a cluster's operators, in the states that the contract's events tell."""
        for where, book in self.books.items():
            _, network_index, index, active, _ = book.state
            # A liquidated cluster has none; it goes on from the present ones.
            if active:
                network_before, before = self.seen_indices.get(where, (0, 0))
                assert network_index >= network_before
                assert index >= before
                self.seen_indices[where] = network_index, index

    @invariant()
    def earnings_are_the_models(self) -> None:
        expected = [operator.earned * UNIT for operator in self.operators.values()]
        assert self.registry.earnings(list(self.operators)) == expected

    @invariant()
    def balances_are_the_models(self) -> None:
        for (owner, ids), book in self.books.items():
            shown = self.registry.number(GET_BALANCE, self.owners[owner], list(ids), book.state)
            expected = self.preview(book, ids)[4]
            # The view knows a dry cluster's remainder of less than a unit as nothing.
            assert shown == expected or (shown == 0 and expected < UNIT)


TestAccountingModel = AccountingModel.TestCase
TestAccountingModel.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # to shrink a run of so many calls takes longer than to read it
    suppress_health_check=[HealthCheck.too_slow],
)
