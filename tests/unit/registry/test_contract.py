"""The registry's client against a node in memory, and the arithmetic of a cluster's runway."""

import pytest
from eth_utils.crypto import keccak
from fake_node import FakeNode, connected
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.registry.chain import ContractError, checksummed
from ssv_pool.registry.contract import RegistryContract
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.views import ClusterStatus

REGISTRY = "0x" + "5f" * 20
VIEWS = "0x" + "6f" * 20


@pytest.mark.parametrize("error", ["ClusterDoesNotExist()", "ClusterDoesNotExists()"])
def test_ours_and_the_ssv_networks_contract_are_registries(error: str) -> None:
    node = FakeNode(revert=keccak(text=error)[:4])
    RegistryContract(connected(node), REGISTRY).check()
    assert node.sent == []


@pytest.mark.parametrize("revert", [None, b"", keccak(text="CallerNotOwner()")[:4]])
def test_another_contract_is_none(revert: bytes | None) -> None:
    with pytest.raises(ContractError) as caught:
        RegistryContract(connected(FakeNode(revert=revert)), REGISTRY).check()
    assert str(caught.value) == (
        f"the contract at {checksummed(REGISTRY, 'it')} is no registry: it does not know clusters, check the registry "
        "address"
    )


def test_views_are_asked_of_their_own_contract() -> None:
    node = FakeNode()
    contract = RegistryContract(connected(node), REGISTRY, views=VIEWS)
    assert contract.views.network_earnings() == 0
    assert not contract.validator_registered(REGISTRY, bytes(48))
    assert set(node.called) == {VIEWS}


def test_the_networks_second_word_behind_a_balance_is_not_looked_at() -> None:
    node = FakeNode(answer=(5).to_bytes(32, "big") + (32).to_bytes(32, "big"))
    assert RegistryContract(connected(node), REGISTRY).views.earnings(OperatorId(1)) == 5


def status(balance: int, burn_rate: int, reserve: int, *, active: bool = True) -> ClusterStatus:
    return ClusterStatus(
        owner=checksummed(REGISTRY, "it"),
        operator_ids=(1, 2, 3, 4),
        cluster=Cluster(1, 0, 0, active, balance),
        balance=balance,
        burn_rate=burn_rate,
        liquidatable=balance < reserve,
        reserve=reserve,
        block=1,
    )


AMOUNTS = st.integers(0, 10**30)


@given(AMOUNTS, st.integers(1, 10**20), AMOUNTS)
def test_runway_ends_with_the_first_block_below_the_reserve(balance: int, burn_rate: int, reserve: int) -> None:
    blocks = status(balance, burn_rate, reserve).runway_blocks
    assert blocks is not None
    assert balance - blocks * burn_rate < reserve
    assert blocks == 0 or balance - (blocks - 1) * burn_rate >= reserve


@given(AMOUNTS, st.integers(1, 10**20), AMOUNTS, st.floats(0.01, 10_000), st.sampled_from([2.0, 12.0]))
def test_cost_buys_the_days(balance: int, burn_rate: int, reserve: int, days: float, block_seconds: float) -> None:
    before = status(balance, burn_rate, reserve)
    cost = before.cost_of(days, block_seconds)
    after = status(balance + cost, burn_rate, reserve).runway_days(block_seconds)
    assert after is not None
    assert after >= days * (1 - 1e-12)
    assert cost == 0 or after < days + 3 * block_seconds / 86_400 + days * 1e-12


def test_runway_without_fees_and_of_a_liquidated_cluster() -> None:
    assert status(5, 0, 5).runway_blocks is None
    assert status(5, 0, 5).runway_days() is None
    assert status(5, 0, 5, active=False).runway_blocks == 0
    assert status(7200, 1, 1).runway_days() == 1.0
