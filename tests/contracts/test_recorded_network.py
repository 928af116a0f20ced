"""The registry against the SSV network contract as recorded elsewhere: selectors, topics, errors, and whole logs.

What is recorded, and where it is from, says `records/ssv_network.json`. The logs are replayed: our contract is brought
into the state in which it must leave the very same topics and data, byte for byte.
"""

import json
from pathlib import Path
from typing import Any

import boa
import pytest
from contract_vm import types_of
from eth_abi.abi import decode
from eth_utils.crypto import keccak
from registry_chain import make_block, make_logs
from registry_vm import (
    CLUSTER_LIQUIDATED,
    CLUSTER_REACTIVATED,
    FEE_RECIPIENT,
    FEE_RECIPIENT_UPDATED,
    LIQUIDATE,
    NEW_CLUSTER,
    OPERATOR_ADDED,
    OPERATOR_REMOVED,
    REACTIVATE,
    REGISTER,
    REGISTER_OPERATOR,
    REMOVE,
    UNIT,
    VALIDATOR_ADDED,
    VALIDATOR_REMOVED,
    RegistryVM,
)

from ssv_pool.registry.abi import unpack_bytes
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.events import decode_event
from ssv_pool.registry.reverts import describe_revert

pytestmark = pytest.mark.contracts

RECORDS = json.loads((Path(__file__).parent / "records" / "ssv_network.json").read_text())
ON_THE_SECOND_CONTRACT = "get", "is"
"""What views begin with: the SSV network has them on a contract of their own."""


def type_name(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(type_name, parameter['components']))}){kind.removeprefix('tuple')}"


def ours(kind: str) -> dict[str, dict[str, Any]]:
    """Signature → entry of our published ABI."""
    entries = [entry for entry in published_abi() if entry["type"] == kind]
    return {f"{entry['name']}({','.join(map(type_name, entry['inputs']))})": entry for entry in entries}


def log_of(signature: str) -> tuple[tuple[bytes, ...], bytes]:
    """The recorded log of an event: topics and data."""
    [found] = [log for log in RECORDS["logs"] if log["event"] == signature]
    return tuple(bytes.fromhex(topic[2:]) for topic in found["topics"]), bytes.fromhex(found["data"][2:])


def values_of(signature: str) -> list[Any]:
    """What a recorded log says, topics first."""
    topics, data = log_of(signature)
    types = types_of(signature)
    indexed = [decode([kind], topic)[0] for kind, topic in zip(types[: len(topics) - 1], topics[1:], strict=True)]
    return [*indexed, *decode(types[len(indexed) :], data)]


def test_calls_have_the_published_selectors() -> None:
    calls = {signature for signature in ours("function") if not signature.startswith(ON_THE_SECOND_CONTRACT)}
    in_eth = RECORDS["signatures"]
    assert calls == RECORDS["selectors"].keys() | set(in_eth["payable"]) | set(in_eth["nonpayable"])
    assert {signature: "0x" + keccak(text=signature)[:4].hex() for signature in RECORDS["selectors"]} == RECORDS[
        "selectors"
    ]
    taking = {signature for signature, entry in ours("function").items() if entry["stateMutability"] == "payable"}
    assert taking == set(in_eth["payable"])


def test_views_answer_with_the_published_words() -> None:
    views = {
        signature: ",".join(map(type_name, entry["outputs"])).replace("(", "").replace(")", "")
        for signature, entry in ours("function").items()
        if signature.startswith(ON_THE_SECOND_CONTRACT)
    }
    # The network answers this for a list of operators.
    assert views.pop("isAddressWhitelisted(uint64,address)") == "bool"
    assert views == RECORDS["views"]


def test_events_have_the_published_topics_and_indexed_parameters() -> None:
    recorded = {event["signature"]: event for event in RECORDS["events"]}
    # Its parameter is another type in the form paid in ETH than in the bindings that topics are taken from.
    assert ours("event").keys() - recorded.keys() == {"OperatorMaximumFeeUpdated(uint256)"}
    for signature, event in recorded.items():
        assert "0x" + keccak(text=signature).hex() == event["topic"], signature
        flags = [parameter["indexed"] for parameter in ours("event")[signature]["inputs"]]
        assert flags == [place < event["indexed"] for place in range(len(flags))], signature


def test_errors_have_the_published_selectors_and_a_sentence_each() -> None:
    # Not noted beside an error, because a library of the network's has it.
    assert ours("error").keys() - RECORDS["errors"].keys() == {"MaxPrecisionExceeded()"}
    for signature, selector in RECORDS["errors"].items():
        assert "0x" + keccak(text=signature)[:4].hex() == selector, signature
        assert signature in ours("error")
        # Zeros, but where a byte string begins.
        values = (32).to_bytes(32, "big") + bytes(32) if signature.endswith("(bytes)") else bytes(64)
        revert = describe_revert(bytes.fromhex(selector[2:]) + values)
        assert revert.name == signature.partition("(")[0]


@pytest.mark.parametrize("log", RECORDS["logs"], ids=lambda log: log["event"].partition("(")[0])
def test_recorded_logs_are_understood(log: dict[str, Any]) -> None:
    """The client reads what the network emitted, and reads the same as the signature says."""
    topics, data = log_of(log["event"])
    event = decode_event(make_logs(make_block(1), [(topics, data)])[0])
    said = values_of(log["event"])
    assert type(event).__name__ in {log["event"].partition("(")[0], "FeeRecipientUpdated"}
    found = [getattr(event, name) for name in event.__slots__]
    assert len(found) == len(said)
    for ours_is, theirs in zip(found, said, strict=True):
        if log["event"] == OPERATOR_ADDED and isinstance(theirs, bytes):
            assert ours_is == unpack_bytes(theirs)
            assert ours_is.startswith(b"LS0tLS1CRUdJTiBSU0EgUFVCTElDIEtFWS0tLS0t")
        elif hasattr(ours_is, "validator_count"):
            assert tuple(getattr(ours_is, name) for name in ours_is.__slots__) == theirs
        elif isinstance(theirs, str):
            assert "0x" + ours_is.hex() == theirs
        else:
            assert ours_is == theirs


class Replay:
    """Our registry, on the way to a recorded log."""

    def __init__(self, signature: str) -> None:
        self.signature = signature
        self.values = values_of(signature)
        [self.owner, *_] = [value for value in self.values if isinstance(value, str)]
        boa.env.set_balance(self.owner, 10**24)
        self.registry = RegistryVM(limit=1000)

    def operators(self, ids: tuple[int, ...], index: int) -> int:
        """Operators up to the last of ``ids``, of whom one will have cost ``index`` after the returned blocks."""
        blocks = max(number for number in range(1, 1000) if index % number == 0)
        fees = {ids[0]: index // blocks * UNIT}
        self.registry.operators(boa.env.eoa, ids[-1], [fees.get(number, 0) for number in range(1, ids[-1] + 1)])
        return blocks

    def left(self) -> bool:
        """Whether the last call left the recorded log, and nothing else."""
        return self.registry.logs == [log_of(self.signature)]


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(48, "big") for number in range(1, count + 1)]


def test_a_recorded_operator_added_is_what_our_contract_emits() -> None:
    replay = Replay(OPERATOR_ADDED)
    number, owner, packed, fee = replay.values
    assert int.from_bytes(replay.registry.call(REGISTER_OPERATOR, packed, fee, False, sender=owner), "big") == number
    # The private flag is told by an event of its own.
    assert log_of(OPERATOR_ADDED) in replay.registry.logs


def test_a_recorded_validator_added_is_what_our_contract_emits() -> None:
    replay = Replay(VALIDATOR_ADDED)
    owner, ids, public_key, shares, cluster = replay.values
    boa.env.time_travel(blocks=replay.operators(ids, cluster[2]))
    before = replay.registry.register(owner, keys(cluster[0] - 1), list(ids), NEW_CLUSTER, value=cluster[4])
    replay.registry.call(REGISTER, public_key, ids, shares, before, sender=owner)
    assert replay.left()


def test_a_recorded_validator_removed_is_what_our_contract_emits() -> None:
    replay = Replay(VALIDATOR_REMOVED)
    owner, ids, public_key, cluster = replay.values
    boa.env.time_travel(blocks=replay.operators(ids, cluster[2]))
    before: Any = NEW_CLUSTER
    everything = [*keys(cluster[0]), public_key]
    for begin in range(0, len(everything), 20):
        batch = everything[begin : begin + 20]
        before = replay.registry.register(owner, batch, list(ids), before, value=0 if begin else cluster[4])
    replay.registry.call(REMOVE, public_key, ids, before, sender=owner)
    assert replay.left()


def test_a_recorded_cluster_liquidated_is_what_our_contract_emits() -> None:
    replay = Replay(CLUSTER_LIQUIDATED)
    owner, ids, cluster = replay.values
    replay.operators(ids, 10**9)
    before = replay.registry.register(owner, keys(cluster[0]), list(ids), NEW_CLUSTER, value=10**20)
    boa.env.time_travel(blocks=10)
    replay.registry.call(LIQUIDATE, owner, ids, before, sender=owner)
    assert replay.left()


def test_a_recorded_cluster_reactivated_is_what_our_contract_emits() -> None:
    replay = Replay(CLUSTER_REACTIVATED)
    owner, ids, cluster = replay.values
    blocks = replay.operators(ids, cluster[2])
    before = replay.registry.register(owner, keys(cluster[0]), list(ids), NEW_CLUSTER, value=10**21)
    replay.registry.call(LIQUIDATE, owner, ids, before, sender=owner)
    stopped = replay.registry.cluster_of(CLUSTER_LIQUIDATED)
    boa.env.time_travel(blocks=blocks)
    replay.registry.call(REACTIVATE, ids, stopped, sender=owner, value=cluster[4])
    assert replay.left()


def test_a_recorded_fee_recipient_is_what_our_contract_emits() -> None:
    replay = Replay(FEE_RECIPIENT_UPDATED)
    owner, recipient = replay.values
    replay.registry.call(FEE_RECIPIENT, recipient, sender=owner)
    assert replay.left()


def test_a_recorded_operator_removed_differs_from_ours_in_its_made_up_id_alone() -> None:
    replay = Replay(OPERATOR_ADDED)
    [number] = replay.registry.operators(boa.env.eoa, 1)
    replay.registry.call("removeOperator(uint64)", number, sender=boa.env.eoa)
    topics, data = log_of(OPERATOR_REMOVED)
    assert replay.registry.logs == [((topics[0], number.to_bytes(32, "big")), data)]
