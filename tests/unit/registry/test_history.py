"""What the registry's events tell, searched in ranges of blocks that the node allows."""

import itertools

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from fake_node import FakeNode, connected, make_log
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_chain import ALICE, BOB, address_topic, operator_added, validator_added

from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.registry.abi import CLUSTER_TYPE
from ssv_pool.registry.chain import ContractError, checksummed
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.history import NEW_CLUSTER, RegistryHistory

REGISTRY = "0x" + "5f" * 20
IDS = tuple(OperatorId(number) for number in (1, 2, 3, 4))
STATE = (3, 1, 2, True, 10**18)


def history(node: FakeNode, first_block: int = 0) -> RegistryHistory:
    return RegistryHistory(connected(node), REGISTRY, first_block)


def added(block: int, owner: bytes = ALICE, ids: tuple[int, ...] = IDS) -> dict[str, object]:
    return make_log(block, *validator_added(bytes(48), b"shares", owner, ids))


def changed(block: int, signature: str, types: list[str], *values: object, topics: tuple[bytes, ...] = ()) -> dict:
    return make_log(block, (keccak(text=signature), address_topic(ALICE), *topics), encode(types, values))


LAST_EVENTS = {
    "ClusterDeposited": changed(
        7,
        f"ClusterDeposited(address,uint64[],uint256,{CLUSTER_TYPE})",
        ["uint64[]", "uint256", CLUSTER_TYPE],
        IDS,
        5,
        STATE,
    ),
    "ClusterMigratedToETH": changed(
        7,
        f"ClusterMigratedToETH(address,uint64[],uint256,uint256,uint32,{CLUSTER_TYPE})",
        ["uint64[]", "uint256", "uint256", "uint32", CLUSTER_TYPE],
        IDS,
        5,
        6,
        32,
        STATE,
    ),
    "ClusterBalanceUpdated": changed(
        7,
        f"ClusterBalanceUpdated(address,uint64[],uint64,uint32,{CLUSTER_TYPE})",
        ["uint64[]", "uint32", CLUSTER_TYPE],
        IDS,
        64,
        STATE,
        topics=((9).to_bytes(32, "big"),),
    ),
}


@pytest.mark.parametrize("name", LAST_EVENTS)
def test_state_is_the_last_events(name: str) -> None:
    node = FakeNode(head=20, logs=[added(3), LAST_EVENTS[name], added(9, BOB), added(9, ids=(1, 2, 3, 5))])
    owner = checksummed(f"0x{ALICE.hex()}", "owner")
    assert history(node).cluster(owner, IDS) == Cluster(*STATE)
    assert history(node).clusters(owner)[owner, IDS] == Cluster(*STATE)
    assert len(history(node).clusters(owner)) == 2
    assert len(history(node).clusters()) == 3
    assert history(node).cluster(owner, IDS[:3]) == NEW_CLUSTER
    assert history(node).owner_nonce(owner) == 2


def test_malformed_event() -> None:
    log = added(3) | {"data": "0x00"}
    with pytest.raises(ContractError, match=r"^event ValidatorAdded in block 3 is malformed: "):
        history(FakeNode(logs=[log], head=5)).clusters()


def test_keys_of_operators() -> None:
    node = FakeNode(head=9, logs=[make_log(2, *operator_added(1)), make_log(3, *operator_added(2))])
    damaged = operator_added(3)
    node.logs.append(make_log(4, damaged[0], damaged[1][:-32]))
    ids = [OperatorId(number) for number in (1, 2, 3, 4)]
    assert history(node).operator_keys(ids) == {1: b"key of 1", 2: b"key of 2"}


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 60_000), st.integers(1, 50_000), st.sets(st.integers(0, 60_000), max_size=6))
def test_every_block_is_asked_for_once(first: int, head: int, largest: int, blocks: set[int]) -> None:
    # Ranges of one block over a long history take long; what they are made of shows with fewer.
    largest = max(largest, head // 50 + 1)
    node = FakeNode(head=head, largest_range=largest, logs=[added(block) for block in sorted(blocks)])
    owner = f"0x{ALICE.hex()}"
    assert history(node, first).owner_nonce(owner) == len([block for block in blocks if first <= block <= head])
    asked = sorted(node.ranges)
    assert asked[0][0] == first if head >= first else asked == []
    assert asked == [] or asked[-1][1] == head
    assert all(later[0] == earlier[1] + 1 for earlier, later in itertools.pairwise(asked))


def test_a_node_that_refuses_a_single_block() -> None:
    with pytest.raises(ContractError) as caught:
        history(FakeNode(head=3, largest_range=0)).clusters()
    assert str(caught.value) == "read the registry's events: the node answers: range too large"
