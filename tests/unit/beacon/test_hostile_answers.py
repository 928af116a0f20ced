"""Whatever a beacon node answers, the client gives the thing asked for or a BeaconError of one line."""

import copy
import json
import random

import pytest
from beacon_mock import Node, chain_routes, client_of
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_values import random_value
from ssz_oracle import damaged

from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.ssz_json import to_json
from ssv_pool.protocol.types.attestations import decode_attestation
from ssv_pool.protocol.types.beacon_schemas import attestation_schema, block_schemas, contribution_schema
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.versions import DataVersion

KEY, ROOT, SIGNATURE = bytes([7]) * 48, bytes([9]) * 32, bytes([4]) * 96
HEX_KEY, HEX_ROOT = "0x" + KEY.hex(), "0x" + ROOT.hex()
SSZ = {"content-type": "application/octet-stream", "eth-consensus-version": "fulu"}

_block_schema = block_schemas(DataVersion.FULU, MINIMAL).unsigned(blinded=True)
_block = random_value(_block_schema, random.Random(1), most=1)
_block = _block._replace(slot=17, body=_block.body._replace(randao_reveal=SIGNATURE))
_attestation_schema = attestation_schema(DataVersion.FULU, MINIMAL)
_attestation = random_value(_attestation_schema, random.Random(1))
_data_root = decode_attestation(7, _attestation_schema.encode(_attestation), MINIMAL).data.hash_tree_root()
_contribution_schema = contribution_schema(MINIMAL)
_contribution = _contribution_schema.record(17, ROOT, 2, b"\1", SIGNATURE)
_checkpoint = {"epoch": "1", "root": HEX_ROOT}

ANSWERS = {
    "GET /eth/v1/node/syncing": (
        {"data": {"head_slot": "1", "sync_distance": "0", "is_syncing": False, "is_optimistic": False}},
        lambda client: client.syncing(),
    ),
    "POST /eth/v1/beacon/states/head/validators": (
        {
            "data": [
                {
                    "index": "4",
                    "status": "active_ongoing",
                    "validator": {"pubkey": HEX_KEY, "activation_epoch": "0", "exit_epoch": "9"},
                }
            ]
        },
        lambda client: client.validators([KEY]),
    ),
    "POST /eth/v1/validator/duties/attester/2": (
        {
            "dependent_root": HEX_ROOT,
            "data": [
                {
                    "pubkey": HEX_KEY,
                    "validator_index": "4",
                    "committee_index": "1",
                    "committee_length": "9",
                    "committees_at_slot": "2",
                    "validator_committee_index": "3",
                    "slot": "17",
                }
            ],
        },
        lambda client: client.attester_duties(2, [4]),
    ),
    "GET /eth/v1/validator/duties/proposer/2": (
        {"dependent_root": HEX_ROOT, "data": [{"pubkey": HEX_KEY, "validator_index": "4", "slot": "17"}]},
        lambda client: client.proposer_duties(2),
    ),
    "POST /eth/v1/validator/duties/sync/2": (
        {"data": [{"pubkey": HEX_KEY, "validator_index": "4", "validator_sync_committee_indices": ["1", "2"]}]},
        lambda client: client.sync_duties(2, [4]),
    ),
    "GET /eth/v1/validator/attestation_data": (
        {
            "data": {
                "slot": "17",
                "index": "0",
                "beacon_block_root": HEX_ROOT,
                "source": _checkpoint,
                "target": _checkpoint,
            }
        },
        lambda client: client.attestation_data(17),
    ),
    "GET /eth/v2/validator/aggregate_attestation": (
        {"version": "fulu", "data": to_json(_attestation_schema, _attestation)},
        lambda client: client.aggregate(17, 1, _data_root, "fulu"),
    ),
    "GET /eth/v1/validator/sync_committee_contribution": (
        {"data": to_json(_contribution_schema, _contribution)},
        lambda client: client.sync_contribution(17, 2, ROOT),
    ),
    "GET /eth/v3/validator/blocks/17": (
        {"version": "fulu", "data": to_json(_block_schema, _block)},
        lambda client: client.produce_block(17, SIGNATURE, b""),
    ),
    "POST /eth/v1/validator/liveness/2": (
        {"data": [{"index": "4", "is_live": True}]},
        lambda client: client.liveness(2, [4]),
    ),
    "GET /eth/v1/beacon/blocks/head/root": (
        {"data": {"root": HEX_ROOT}},
        lambda client: client.block_root("head"),
    ),
}
SSZ_ANSWERS = {
    "GET /eth/v2/validator/aggregate_attestation": _attestation_schema.encode(_attestation),
    "GET /eth/v1/validator/sync_committee_contribution": _contribution_schema.encode(_contribution),
    "GET /eth/v3/validator/blocks/17": _block_schema.encode(_block),
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["0x", "0x00", "-1", "1e3", "٣", "0" * 30, str(2**64), "18446744073709551615", "0x" + "0" * 96]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(body, path=()):
    """The way to every value in a JSON body."""
    yield path
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def changed(body, path, value):
    if not path:
        return value
    made = copy.deepcopy(body)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def answered(endpoint, answer):
    """What the client makes of an answer: the thing, or a proper error."""
    client = client_of(Node(chain_routes("fulu", MINIMAL) | {endpoint: answer}))
    try:
        found = ANSWERS[endpoint][1](client)
    except BeaconError as error:
        found = error
    client.close()
    if isinstance(found, BeaconError):
        assert "\n" not in str(found)
        assert str(found).startswith(f"beacon node http://node0: {endpoint}: status 200: ")
        assert len(str(found)) < 500
    return found


@pytest.mark.parametrize("endpoint", ANSWERS)
def test_the_good_answers_are_good(endpoint):
    assert not isinstance(answered(endpoint, (200, ANSWERS[endpoint][0])), BeaconError)
    if endpoint in SSZ_ANSWERS:
        assert not isinstance(answered(endpoint, (200, SSZ_ANSWERS[endpoint], SSZ)), BeaconError)


@pytest.mark.parametrize("endpoint", ANSWERS)
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_json_with_anything_in_any_place(endpoint, draw):
    body = ANSWERS[endpoint][0]
    path = draw.draw(st.sampled_from(sorted(places(body), key=repr)))
    content = json.dumps(changed(body, path, draw.draw(anything))).encode()
    answered(endpoint, (200, content))


@pytest.mark.parametrize("endpoint", SSZ_ANSWERS)
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_damaged_ssz(endpoint, draw):
    answered(endpoint, (200, draw.draw(damaged(SSZ_ANSWERS[endpoint])), SSZ))


@pytest.mark.parametrize("endpoint", ANSWERS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b'{"data": ' + b"9" * 5000 + b"}"])
def test_what_is_no_answer_at_all(endpoint, content):
    assert isinstance(answered(endpoint, (200, content)), BeaconError)
