"""The registry contract under long random sequences of calls, beside a model of what it must hold."""

from typing import Any

import boa
import pytest
from contract_vm import refusal, types_of
from eth_abi.abi import decode
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from registry_vm import (
    BULK_REGISTER,
    BULK_REMOVE,
    EXIT,
    NEW_CLUSTER,
    REMOVE_OPERATOR,
    VALIDATOR_REMOVED,
    WITHDRAW,
    RegistryVM,
)

pytestmark = [pytest.mark.contracts, pytest.mark.slow]

SETS = ((1, 2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5, 6, 7))
OPERATORS = 7

owners = st.integers(0, 1)
sets = st.sampled_from(SETS)
numbers = st.integers(1, 6)
wei = st.integers(0, 1_000)


class RegistryModel(RuleBasedStateMachine):
    """Clusters, counts and money as plain Python; each rule predicts the contract's answer, refusals included."""

    @initialize()
    def deploy(self) -> None:
        self.registry = RegistryVM()
        self.provider = self.registry.account()
        self.owners = [self.registry.account() for _ in range(2)]
        self.registry.operators(self.provider, OPERATORS)
        self.removed: set[int] = set()
        self.clusters: dict[tuple[int, tuple[int, ...]], tuple[Any, ...]] = {}
        self.keys: dict[tuple[int, bytes], tuple[int, ...]] = {}
        self.counts = dict.fromkeys(range(1, OPERATORS + 1), 0)

    @rule(owner=owners, ids=sets, chosen=st.lists(numbers, min_size=1, max_size=3), value=wei, stale=st.booleans())
    def register(self, owner: int, ids: tuple[int, ...], chosen: list[int], value: int, stale: bool) -> None:
        before = self.clusters.get((owner, ids), NEW_CLUSTER)
        given = (before[0] + 1, *before[1:]) if stale else before
        keys = [bytes([number]) * 48 for number in chosen]
        taken = [key for place, key in enumerate(keys) if (owner, key) in self.keys or key in keys[:place]]
        call = (BULK_REGISTER, keys, list(ids), [b""] * len(keys), given)
        sender = self.owners[owner]
        if taken:
            expected = refusal("ValidatorAlreadyExistsWithData(bytes)", taken[0])
            assert self.registry.refused(*call, sender=sender, value=value) == expected
        elif stale:
            assert self.registry.refused(*call, sender=sender, value=value) == refusal("IncorrectClusterState()")
        elif self.removed & set(ids):
            assert self.registry.refused(*call, sender=sender, value=value) == refusal("OperatorDoesNotExist()")
        else:
            after = self.registry.register(sender, keys, list(ids), given, value)
            assert after == (before[0] + len(keys), 0, 0, True, before[4] + value)
            self.clusters[owner, ids] = after
            self.keys |= {(owner, key): ids for key in keys}
            for number in ids:
                self.counts[number] += len(keys)

    @rule(owner=owners, ids=sets, number=numbers)
    def remove(self, owner: int, ids: tuple[int, ...], number: int) -> None:
        key = bytes([number]) * 48
        before = self.clusters.get((owner, ids))
        call = (BULK_REMOVE, [key], list(ids), before or NEW_CLUSTER)
        sender = self.owners[owner]
        if before is None:
            assert self.registry.refused(*call, sender=sender) == refusal("ClusterDoesNotExist()")
        elif self.keys.get((owner, key)) != ids:
            expected = refusal("IncorrectValidatorStateWithData(bytes)", key)
            assert self.registry.refused(*call, sender=sender) == expected
        else:
            self.registry.call(*call, sender=sender)
            after = decode(types_of(VALIDATOR_REMOVED)[1:], self.registry.logs[0][1])[-1]
            assert after == (before[0] - 1, *before[1:])
            self.clusters[owner, ids] = after
            del self.keys[owner, key]
            for operator in set(ids) - self.removed:
                self.counts[operator] -= 1

    @rule(owner=owners, ids=sets, number=numbers)
    def exit(self, owner: int, ids: tuple[int, ...], number: int) -> None:
        key = bytes([number]) * 48
        if self.keys.get((owner, key)) == ids:
            self.registry.call(EXIT, key, list(ids), sender=self.owners[owner])
        else:
            expected = refusal("IncorrectValidatorStateWithData(bytes)", key)
            assert self.registry.refused(EXIT, key, list(ids), sender=self.owners[owner]) == expected

    @rule(owner=owners, ids=sets, amount=wei)
    def withdraw(self, owner: int, ids: tuple[int, ...], amount: int) -> None:
        before = self.clusters.get((owner, ids))
        call = (WITHDRAW, list(ids), amount, before or NEW_CLUSTER)
        sender = self.owners[owner]
        if before is None:
            assert self.registry.refused(*call, sender=sender) == refusal("ClusterDoesNotExist()")
        elif amount > before[4]:
            assert self.registry.refused(*call, sender=sender) == refusal("InsufficientBalance()")
        else:
            self.registry.call(*call, sender=sender)
            self.clusters[owner, ids] = (*before[:4], before[4] - amount)

    @rule(number=st.integers(5, OPERATORS))
    def remove_operator(self, number: int) -> None:
        if number in self.removed:
            expected = refusal("OperatorDoesNotExist()")
            assert self.registry.refused(REMOVE_OPERATOR, number, sender=self.provider) == expected
        else:
            self.registry.call(REMOVE_OPERATOR, number, sender=self.provider)
            self.removed.add(number)
            self.counts[number] = 0

    @invariant()
    def holds_what_it_owes(self) -> None:
        held = boa.env.get_balance(self.registry.contract.address)
        assert held == sum(cluster[4] for cluster in self.clusters.values())

    @invariant()
    def counts_are_the_models(self) -> None:
        assert {number: self.registry.operator(number)[2] for number in self.counts} == self.counts


TestRegistryModel = RegistryModel.TestCase
TestRegistryModel.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
