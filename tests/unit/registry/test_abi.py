import contextlib

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_chain import (
    ALICE,
    CLUSTER,
    cluster_liquidated,
    cluster_reactivated,
    fee_recipient_updated,
    make_block,
    make_logs,
    operator_added,
    operator_removed,
    validator_added,
    validator_exited,
    validator_removed,
)

from ssv_pool.registry import abi, events
from ssv_pool.registry.abi import AbiDecodeError

KEY = bytes(range(48))

ALL = [
    (operator_added(7, key=b"key", fee=5), events.OperatorAdded(7, ALICE, b"key", 5)),
    (operator_removed(7), events.OperatorRemoved(7)),
    (
        validator_added(KEY, b"shares"),
        events.ValidatorAdded(ALICE, (1, 2, 3, 4), KEY, b"shares", events.Cluster(*CLUSTER)),
    ),
    (validator_removed(KEY), events.ValidatorRemoved(ALICE, (1, 2, 3, 4), KEY, events.Cluster(*CLUSTER))),
    (cluster_liquidated(), events.ClusterLiquidated(ALICE, (1, 2, 3, 4), events.Cluster(*CLUSTER))),
    (cluster_reactivated(), events.ClusterReactivated(ALICE, (1, 2, 3, 4), events.Cluster(*CLUSTER))),
    (fee_recipient_updated(b"r" * 20), events.FeeRecipientUpdated(ALICE, b"r" * 20)),
    (validator_exited(KEY), events.ValidatorExited(ALICE, (1, 2, 3, 4), KEY)),
]
NAMES = [type(event).__name__ for _, event in ALL]


def decode(topics: tuple[bytes, ...], data: bytes) -> events.RegistryEvent:
    return events.decode_event(make_logs(make_block(1), [(topics, data)])[0])


def test_topics_are_the_published_ones() -> None:
    assert {event.name: event.topic.hex() for event in abi.EVENTS.values()} == {
        "OperatorAdded": "d839f31c14bd632f424e307b36abff63ca33684f77f28e35dc13718ef338f7f4",
        "OperatorRemoved": "0e0ba6c2b04de36d6d509ec5bd155c43a9fe862f8052096dd54f3902a74cca3e",
        "ValidatorAdded": "48a3ea0796746043948f6341d17ff8200937b99262a0b48c2663b951ed7114e5",
        "ValidatorRemoved": "ccf4370403e5fbbde0cd3f13426479dcd8a5916b05db424b7a2c04978cf8ce6e",
        "ClusterLiquidated": "1fce24c373e07f89214e9187598635036111dbb363e99f4ce498488cdc66e688",
        "ClusterReactivated": "c803f8c01343fcdaf32068f4c283951623ef2b3fa0c547551931356f456b6859",
        "FeeRecipientAddressUpdated": "259235c230d57def1521657e7c7951d3b385e76193378bc87ef6b56bc2ec3548",
        "ValidatorExited": "b4b20ffb2eb1f020be3df600b2287914f50c07003526d3a9d89a9dd12351828c",
    }


@pytest.mark.parametrize(("content", "expected"), ALL, ids=NAMES)
def test_decodes(content: tuple[tuple[bytes, ...], bytes], expected: events.RegistryEvent) -> None:
    assert decode(*content) == expected


@pytest.mark.parametrize(("content", "expected"), ALL, ids=NAMES)
def test_cut_short_by_any_number_of_bytes_is_refused(
    content: tuple[tuple[bytes, ...], bytes], expected: events.RegistryEvent
) -> None:
    topics, data = content
    for length in range(len(data)):
        with pytest.raises(AbiDecodeError):
            decode(topics, data[:length])
    for count in range(len(topics)):
        with pytest.raises(AbiDecodeError):
            decode(topics[:count], data)


@pytest.mark.parametrize(("content", "expected"), ALL, ids=NAMES)
def test_bytes_too_many_are_refused(content: tuple[tuple[bytes, ...], bytes], expected: events.RegistryEvent) -> None:
    topics, data = content
    for extra in (b"\x00", bytes(32), b"\x01" * 32):
        with pytest.raises(AbiDecodeError):
            decode(topics, data + extra)
    with pytest.raises(AbiDecodeError, match=f"{len(topics) + 1} topics, expected {len(topics)}"):
        decode((*topics, bytes(32)), data)


@pytest.mark.parametrize("topic", [b"\x01" + bytes(31), bytes(23) + b"\x01" + bytes(8)], ids=["high", "just-above"])
def test_a_topic_out_of_its_types_range_is_refused(topic: bytes) -> None:
    with pytest.raises(AbiDecodeError, match=f"^topic 0x{topic.hex()}, expected uint64$"):
        decode((abi.OPERATOR_REMOVED.topic, topic), b"")


def test_an_address_topic_with_high_bytes_is_refused() -> None:
    with pytest.raises(AbiDecodeError, match="expected address"):
        decode((abi.FEE_RECIPIENT_UPDATED.topic, b"\x01" * 32), bytes(32))


def test_non_canonical_offsets_are_refused() -> None:
    # The same ids and key with the two dynamic parts in the other order: decodes, but no contract emits it.
    ids, key = encode(["uint64[]"], [[1, 2]])[32:], encode(["bytes"], [KEY])[32:]
    head = (64 + len(key)).to_bytes(32, "big") + (64).to_bytes(32, "big")
    with pytest.raises(AbiDecodeError, match="not in canonical form"):
        decode((abi.VALIDATOR_EXITED.topic, bytes(12) + ALICE), head + key + ids)


@settings(deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_altered_data_gives_an_event_or_our_error(case: tuple, data: st.DataObject) -> None:
    (topics, content), _ = case
    altered = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        if altered:
            altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AbiDecodeError):
        decode(topics, bytes(altered))


@settings(deadline=None)
@given(st.sampled_from(sorted(abi.EVENTS)), st.lists(st.binary(min_size=32, max_size=32), max_size=3), st.binary())
def test_random_bytes_give_an_event_or_our_error(topic: bytes, topics: list[bytes], data: bytes) -> None:
    with contextlib.suppress(AbiDecodeError):
        decode((topic, *topics), data)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_packed_bytes_round_trip(content: bytes) -> None:
    assert abi.unpack_bytes(abi.pack_bytes(content)) == content


def test_packed_bytes_without_padding_are_taken_as_other_clients_do() -> None:
    assert abi.unpack_bytes((32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"key") == b"key"


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (b"key", "packed bytes: 3 bytes, expected at least 64"),
        ((33).to_bytes(32, "big") + bytes(32), "packed bytes: offset 33 in 64 bytes"),
        (b"\xff" * 64, f"packed bytes: offset {2**256 - 1} in 64 bytes"),
        ((32).to_bytes(32, "big") + (1).to_bytes(32, "big"), "packed bytes: length 1 at 32 in 64 bytes"),
    ],
)
def test_packed_bytes_that_point_outside_are_refused(packed: bytes, error: str) -> None:
    with pytest.raises(AbiDecodeError) as caught:
        abi.unpack_bytes(packed)
    assert str(caught.value) == error


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_unpacking_random_bytes_gives_bytes_or_our_error(packed: bytes) -> None:
    with contextlib.suppress(AbiDecodeError):
        abi.unpack_bytes(packed)


def test_a_log_without_topics_or_of_another_event_is_no_event() -> None:
    empty, other = make_logs(make_block(1), [((), b""), ((b"x" * 32,), b"")])
    assert (events.event_of(empty), events.event_of(other)) == (None, None)
