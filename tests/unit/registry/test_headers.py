"""RLP, receipts' tries and headers, against the libraries of the field."""

import pytest
import rlp as field_rlp
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from ssv_pool.registry import rlp
from ssv_pool.registry.headers import HeaderError, bloom_has, parse_header, receipt_logs

ITEMS = st.recursive(st.binary(max_size=70), lambda items: st.lists(items, max_size=6), max_leaves=20)


@given(ITEMS)
@settings(max_examples=100, deadline=None)
def test_encoding_is_the_fields(item: object) -> None:
    assert rlp.encode(item) == field_rlp.encode(item)  # type: ignore[arg-type]


@given(st.integers(0, 2**256))
def test_numbers_have_no_leading_zeros(number: int) -> None:
    assert rlp.encode(number) == field_rlp.encode(number)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=20) | st.integers(120, 280).map(lambda n: [b"x" * 40] * n))
@settings(max_examples=60, deadline=None)
def test_the_root_is_that_of_the_fields_trie(values: list[bytes]) -> None:
    trie = HexaryTrie({})
    for place, value in enumerate(values):
        trie[field_rlp.encode(place)] = value
    assert rlp.ordered_root(values) == trie.root_hash


ADDRESS, TOPIC = b"\x11" * 20, keccak(b"event")


def bloom_of(*items: bytes) -> bytes:
    bits = 0
    for item in items:
        digest = keccak(item)
        for start in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[start : start + 2], "big") % 2048)
    return bits.to_bytes(256, "big")


def receipt(kind: int, **other: object) -> dict[str, object]:
    log = {"address": f"0x{ADDRESS.hex()}", "topics": [f"0x{TOPIC.hex()}"], "data": "0x0102"}
    bloom = f"0x{bloom_of(ADDRESS, TOPIC).hex()}"
    return {
        "type": hex(kind),
        "status": "0x1",
        "cumulativeGasUsed": "0x5208",
        "logsBloom": bloom,
        "logs": [log],
    } | other


def block_of(receipts: list[dict[str, object]], **other: object) -> dict[str, object]:
    """A header over receipts of these kinds, made with the field's libraries."""
    bloom = bloom_of(ADDRESS, TOPIC)
    trie = HexaryTrie({})
    for place, item in enumerate(receipts):
        kind = int(str(item["type"]), 16)
        body = field_rlp.encode([1, 0x5208, bloom, [[ADDRESS, [TOPIC], b"\x01\x02"]]])
        trie[field_rlp.encode(place)] = body if kind == 0 else bytes([kind]) + body
    fields = {
        "parentHash": b"\x01" * 32,
        "sha3Uncles": b"\x02" * 32,
        "miner": b"\x03" * 20,
        "stateRoot": b"\x04" * 32,
        "transactionsRoot": b"\x05" * 32,
        "receiptsRoot": trie.root_hash,
        "logsBloom": bloom,
        "difficulty": 0,
        "number": 1000,
        "gasLimit": 30_000_000,
        "gasUsed": 0x5208,
        "timestamp": 1_700_000_000,
        "extraData": b"extra",
        "mixHash": b"\x06" * 32,
        "nonce": bytes(8),
        "baseFeePerGas": 7,
        "withdrawalsRoot": b"\x07" * 32,
    }
    block_hash = keccak(field_rlp.encode(list(fields.values())))
    shown = {name: hex(value) if isinstance(value, int) else f"0x{value.hex()}" for name, value in fields.items()}
    transactions = [f"0x{bytes([place]).hex() * 32}" for place in range(len(receipts))]
    return shown | {"hash": f"0x{block_hash.hex()}", "transactions": transactions, "size": "0x1"} | other


def test_receipts_of_all_kinds_make_up_the_root() -> None:
    receipts = [receipt(kind) for kind in (0, 1, 2, 3, 4)]
    header = parse_header(block_of(receipts))
    assert header.bound
    assert header.may_have_logs(ADDRESS, [TOPIC])
    assert not header.may_have_logs(ADDRESS, [])
    assert not header.may_have_logs(b"\x12" * 20, [TOPIC])
    logs = receipt_logs(header, receipts)
    assert [(log.address, log.topics, log.data, log.transaction_index, log.log_index) for log in logs] == [
        (ADDRESS, (TOPIC,), b"\x01\x02", place, place) for place in range(5)
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"logs": []}, "have the root"),
        ({"status": "0x0"}, "have the root"),
        ({"type": "0x1"}, "have the root"),
        ({"type": "0x80"}, "at most 127"),
        ({"logs": None}, "no list of logs"),
        ({"logs": [{"address": "0x11", "topics": []}]}, "expected 20 hex bytes"),
        ({"logs": [{"address": f"0x{ADDRESS.hex()}", "topics": ["0x" + "00" * 32] * 5}]}, "without topics"),
        ({"cumulativeGasUsed": "0x"}, "expected a hex number"),
        ({"status": None}, "receipt root"),
    ],
)
def test_receipts_that_are_not_the_blocks(change: dict[str, object], text: str) -> None:
    header = parse_header(block_of([receipt(2)]))
    with pytest.raises(HeaderError, match=text):
        receipt_logs(header, [receipt(2) | change])
    with pytest.raises(HeaderError, match="1 transactions, found 0 receipts"):
        receipt_logs(header, [])


@pytest.mark.parametrize(
    "change",
    [
        {"logsBloom": "0x" + "00" * 256},
        {"receiptsRoot": "0x" + "00" * 32},
        {"timestamp": "0x1"},
        {"baseFeePerGas": None},
    ],
)
def test_a_header_that_was_changed_has_another_hash(change: dict[str, object]) -> None:
    with pytest.raises(HeaderError, match="does not have the hash"):
        parse_header(block_of([receipt(2)]) | change)


def test_a_header_of_a_later_fork_is_the_nodes_word() -> None:
    header = parse_header(block_of([receipt(2)], somethingNew="0x1", timestamp="0x2"))
    assert not header.bound
    assert header.block.time == 2


@pytest.mark.parametrize(
    "change",
    [{"transactions": None}, {"transactions": ["0x12"]}, {"logsBloom": "0x00"}, {"number": "1000"}, {"hash": None}],
)
def test_headers_that_are_none(change: dict[str, object]) -> None:
    with pytest.raises(HeaderError):
        parse_header(block_of([receipt(2)]) | change)


@given(st.lists(st.binary(min_size=20, max_size=32), max_size=10), st.binary(min_size=20, max_size=32))
def test_a_bloom_never_denies_what_is_in_it(items: list[bytes], other: bytes) -> None:
    bloom = bloom_of(*items)
    assert all(bloom_has(bloom, item) for item in items)
    assert not bloom_has(bytes(256), other)
