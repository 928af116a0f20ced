import random

import pytest
from beacon_parity import fast, random_state

from ssv_pool.devnet.beacon.codec import JsonError, from_json, parse_hex, parse_json, parse_uint, to_json


@pytest.fixture
def spec():
    return fast().spec


def single_attestation(spec):
    rng = random.Random(1)
    return spec.SingleAttestation(
        committee_index=3,
        attester_index=2**64 - 1,
        data=spec.AttestationData(slot=9, beacon_block_root=rng.randbytes(32), target=spec.Checkpoint(epoch=1)),
        signature=rng.randbytes(96),
    )


def test_states_and_blocks_there_and_back(spec):
    state = random_state(spec, 9, random.Random(2))
    for view in (
        state,
        single_attestation(spec),
        spec.SignedBeaconBlock(),
        spec.Attestation(aggregation_bits=[1, 0, 1]),
    ):
        again = from_json(type(view), to_json(view))
        assert again == view
        assert again.hash_tree_root() == view.hash_tree_root()


def test_the_form_of_the_api(spec):
    value = to_json(single_attestation(spec))
    assert value["attester_index"] == "18446744073709551615"
    assert value["data"]["target"] == {"epoch": "1", "root": "0x" + "00" * 32}
    assert to_json(spec.Attestation(aggregation_bits=[1, 0, 1]).aggregation_bits) == "0x0d"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("attester_index",), 3, "SingleAttestation.attester_index: found 3, expected an unsigned integer"),
        (("attester_index",), "-1", "SingleAttestation.attester_index: found"),
        (("attester_index",), "03", "SingleAttestation.attester_index: found"),
        (("attester_index",), "٣", "SingleAttestation.attester_index: found"),
        (("attester_index",), str(2**64), "expected an integer below 2\\^64"),
        (("data", "slot"), "1.0", "SingleAttestation.data.slot: found"),
        (("data", "source"), None, "SingleAttestation.data.source: found null, expected an object"),
        (("data", "beacon_block_root"), "0x00", "SingleAttestation.data.beacon_block_root: 1 bytes are no"),
        (("data", "beacon_block_root"), "00" * 32, "expected 0x and hex digits"),
        (("data", "beacon_block_root"), "0x" + "0g" * 32, "expected 0x and hex digits"),
        (("extra",), "1", "SingleAttestation: missing fields \\[\\], unknown fields \\['extra'\\]"),
    ],
)
def test_strict_fields(spec, place, value, message):
    document = to_json(single_attestation(spec))
    inner = document
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(JsonError, match=message):
        from_json(spec.SingleAttestation, document)


def test_missing_field(spec):
    document = to_json(single_attestation(spec))
    del document["signature"]
    with pytest.raises(JsonError, match="missing fields \\['signature'\\], unknown fields \\[\\]"):
        from_json(spec.SingleAttestation, document)


@pytest.mark.parametrize("bits", ["0x", "0x00", "0x0100", "0x" + "ff" * 2000])
def test_malformed_bit_lists(spec, bits):
    document = to_json(spec.Attestation()) | {"aggregation_bits": bits}
    with pytest.raises(JsonError, match=r"Attestation\.aggregation_bits"):
        from_json(spec.Attestation, document)


def test_list_lengths(spec):
    document = to_json(spec.SyncCommittee())
    document["pubkeys"].pop()
    with pytest.raises(JsonError, match=r"SyncCommittee\.pubkeys: found 31 elements, expected 32"):
        from_json(spec.SyncCommittee, document)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b'{"a": 1, "a": 2}', b"NaN", b"[Infinity]", b"[" * 100_000, b"1 2"]
)
def test_bodies_that_are_no_json(raw):
    with pytest.raises(JsonError, match=r"^body: "):
        parse_json(raw)


def test_json():
    assert parse_json(b' {"a": ["1"]} ') == {"a": ["1"]}
    assert parse_uint("0", "x") == 0
    assert parse_hex("0xAb", "x", 1) == b"\xab"
    with pytest.raises(JsonError, match="x: found 1 bytes, expected 2"):
        parse_hex("0xAb", "x", 2)
