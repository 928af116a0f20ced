"""The API's JSON of SSZ objects, against the embedded beacon node's own reading of the specification's containers."""

import importlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_values import random_value

from ssv_pool.beacon.answers import AnswerError
from ssv_pool.beacon.ssz_json import from_json, to_json
from ssv_pool.protocol.types import schema as s
from ssv_pool.protocol.types.beacon_schemas import (
    block_schemas,
    contribution_schema,
    signed_aggregate_schema,
    signed_contribution_schema,
)
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL
from ssv_pool.protocol.types.versions import DataVersion

KINDS = [
    *(
        block_schemas(version, preset).signed(blinded=blinded)
        for version, preset, blinded in (
            (DataVersion.CAPELLA, MINIMAL, False),
            (DataVersion.DENEB, MAINNET, True),
            (DataVersion.FULU, MAINNET, False),
        )
    ),
    signed_aggregate_schema(DataVersion.DENEB, MAINNET),
    signed_aggregate_schema(DataVersion.FULU, MINIMAL),
    signed_contribution_schema(MINIMAL),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_written_is_read(kind, seed):
    value = random_value(kind, random.Random(seed), most=1)
    assert from_json(kind, "data", json.loads(json.dumps(to_json(kind, value)))) == value


@pytest.mark.parametrize(
    ("fork", "preset"), [("capella", MINIMAL), ("fulu", MAINNET)], ids=lambda entry: getattr(entry, "name", entry)
)
def test_blocks_have_the_specifications_json(fork, preset):
    pytest.importorskip("eth_consensus_specs")
    codec = importlib.import_module("ssv_pool.devnet.beacon.codec")
    specification = importlib.import_module(f"eth_consensus_specs.{fork}.{preset.name}")
    kind = block_schemas(DataVersion[fork.upper()], preset).full
    value = random_value(kind, random.Random(7))
    oracle = specification.BeaconBlock.decode_bytes(kind.encode(value))
    assert to_json(kind, value) == codec.to_json(oracle)
    assert codec.from_json(specification.BeaconBlock, to_json(kind, value)).encode_bytes() == kind.encode(value)


def test_numbers_are_decimal_and_bytes_hex():
    kind = contribution_schema(MINIMAL)
    value = kind.record(5, bytes([9]) * 32, 3, b"\x81", bytes([1]) * 96)
    assert to_json(kind, value) == {
        "slot": "5",
        "beacon_block_root": "0x" + "09" * 32,
        "subcommittee_index": "3",
        "aggregation_bits": "0x81",
        "signature": "0x" + "01" * 96,
    }


PAIR = s.Container("Pair", number=s.Uint(8), item=s.Container("Item", key=s.Bytes(2)))


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        (s.Uint(8), 5, "data: found '5', expected a decimal number below 2^64"),
        (s.Uint(8), "-5", "data: found '-5', expected a decimal number below 2^64"),
        (s.Uint(8), "²", "data: found '²', expected a decimal number below 2^64"),
        (s.Uint(8), str(2**64), f"data: found '{2**64}', expected a decimal number below 2^64"),
        (s.Uint(32), "9" * 79, f"data: found '{'9' * 60}', expected a decimal number below 2^256"),
        (s.Bytes(2), "0x01", "data: 1 bytes, expected 2"),
        (s.Bytes(2), "0102", "data: found '0102', expected 0x and bytes in hex"),
        (s.Bytes(2), "0x01 2", "data: found '0x01 2', expected 0x and bytes in hex"),
        (s.Bytes(2), "0x01 02", "data: found '0x01 02', expected 0x and bytes in hex"),
        (s.Bytes(2), 7, "data: found '7', expected 0x and bytes in hex"),
        (s.Bytes(2), None, "data: found 'None', expected 0x and bytes in hex"),
        (s.ByteList(2), "0x010203", "data: 3 items, expected at most 2"),
        (s.Bitlist(2), "0x10", "data: 4 items, expected at most 2"),
        (s.Bitlist(2), "0x00", "data: no bit marks the end of the bit list"),
        (s.U64List(1), ["1", "2"], "data: found 2 items, expected at most 1"),
        (s.List(s.Bytes(2), 1), "0x", "data: found '0x', expected a list"),
        (s.List(s.Bytes(2), 1), ["0x0101", "0x0102"], "data: found 2 items, expected at most 1"),
        (s.Vector(s.Bytes(2), 2), ["0x0101"], "data: found 1 items, expected 2"),
        (PAIR, [], "data: found '[]', expected an object"),
        (PAIR, {"number": "1"}, "data.item: missing"),
        (PAIR, {"number": "1", "item": {}}, "data.item.key: missing"),
        (PAIR, {"number": "1", "item": {"key": "0x"}}, "data.item.key: 0 bytes, expected 2"),
    ],
)
def test_anything_else_is_refused_by_name(kind, body, problem):
    with pytest.raises(AnswerError) as error:
        from_json(kind, "data", body)
    assert str(error.value) == problem


def test_fields_that_a_container_lacks_are_ignored():
    body = {"number": "1", "item": {"key": "0x0102", "more": 1}, "more": []}
    assert from_json(PAIR, "data", body) == PAIR.record(1, PAIR.fields["item"].record(b"\1\2"))
