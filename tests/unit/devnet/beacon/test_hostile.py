"""Whatever is posted, the node answers that it is wrong; it never fails over it."""

import copy

import pytest
from beacon_http import SSZ, request
from beacon_outsider import Outsider
from beacon_stepper import SteppedNode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.proposals import BlockRequest
from ssv_pool.devnet.beacon.simulated import DutyKind

FARTHEST = 2**64 - 1
ALL = frozenset(range(64))

PATHS = {
    "block": "/eth/v2/beacon/blocks",
    "blinded": "/eth/v2/beacon/blinded_blocks",
    "attestation": "/eth/v2/beacon/pool/attestations",
    "sync_message": "/eth/v1/beacon/pool/sync_committees",
    "contribution": "/eth/v1/validator/contribution_and_proofs",
    "aggregate": "/eth/v2/validator/aggregate_and_proofs",
    "exit": "/eth/v1/beacon/pool/voluntary_exits",
    "registration": "/eth/v1/validator/register_validator",
}
LISTS = frozenset({"attestation", "sync_message", "contribution", "aggregate", "registration"})


@pytest.fixture(scope="module")
def outside():
    """A node in slot 1 whose validators are all outside, and one good object of each kind, none of them sent."""
    stepped = SteppedNode(external=ALL, external_duties=frozenset(DutyKind))
    stepped.go_to(0, 0.7)
    stepped.go_to(1, 0.7)
    client = Outsider(stepped)
    spec, containers, node = client.spec, client.node.containers, client.node
    block = node.desk.produce(BlockRequest(1, client.randao(1), bytes(32))).block
    signature = client.sign_block(block)
    signed = spec.SignedBeaconBlock(message=block, signature=signature)
    hidden = node.desk.produce(BlockRequest(1, client.randao(1), bytes(32), blinded_only=True)).block
    attester = client.node.chain.committees(0)[1][0][0]
    vote = stepped.attestation(attester, 0)
    aggregate = spec.Attestation(
        aggregation_bits=[member == attester for member in node.chain.committees(0)[1][0]],
        data=vote.data,
        committee_bits=[True, False, False, False],
        signature=vote.signature,
    )
    member = next(iter(client.sync_members()))
    message = client.sync_message(member, 1)
    place = client.sync_members()[member][0]
    contribution = spec.SyncCommitteeContribution(
        slot=1,
        beacon_block_root=message.beacon_block_root,
        subcommittee_index=place // 8,
        aggregation_bits=[number == place % 8 for number in range(8)],
        signature=message.signature,
    )
    blinded = containers.blinded_block(
        **{name: getattr(hidden, name) for name in ("slot", "proposer_index", "parent_root", "state_root")}
    )
    views = {
        "block": containers.signed_block_contents(signed_block=signed),
        "blinded": containers.signed_blinded_block(message=blinded, signature=signature),
        "attestation": vote,
        "sync_message": message,
        "contribution": client.contribution(member, contribution),
        "aggregate": client.aggregate(attester, aggregate),
        "exit": client.voluntary_exit(3, 0),
        "registration": client.registration(3, int(stepped.clock.time)),
    }
    return stepped, client, views


def places_of(value, at=()):
    """The way to every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(found for key, part in inner for found in places_of(part, (*at, key)))]


def replaced(value, at, new):
    if not at:
        return new
    whole = copy.deepcopy(value)
    part = whole
    for key in at[:-1]:
        part = part[key]
    part[at[-1]] = new
    return whole


ODD_VALUES = st.sampled_from(
    [None, True, -1, 3, "", "0", "-1", str(FARTHEST), str(FARTHEST + 1), "0x", "0x00", "0xzz", [], {}, ["0"], "é"]
) | st.binary(max_size=100).map(lambda raw: "0x" + raw.hex())


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(PATHS)))
def test_a_changed_object_is_answered_in_good_order(outside, data, kind):
    stepped, _, views = outside
    value = to_json(views[kind])
    at = data.draw(st.sampled_from(places_of(value)))
    changed = replaced(value, at, data.draw(ODD_VALUES))
    answer = request(stepped, "POST", PATHS[kind], [changed] if kind in LISTS else changed)
    assert answer.status in (200, 400), (answer.status, answer.body)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(PATHS)))
def test_changed_bytes_are_answered_in_good_order(outside, data, kind):
    stepped, _, views = outside
    raw = bytearray(views[kind].encode_bytes())
    if kind in LISTS:
        fixed = type(views[kind]).is_fixed_byte_length()
        raw = raw if fixed else bytearray((4).to_bytes(4, "little")) + raw
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    answer = request(stepped, "POST", PATHS[kind], bytes(raw), headers={"Content-Type": SSZ})
    assert answer.status in (200, 400), (answer.status, answer.body)


@pytest.mark.parametrize("slot", [FARTHEST, 2**63, 2**61])
def test_validly_signed_objects_of_the_farthest_future(outside, slot):
    stepped, client, views = outside
    spec = client.spec
    block = views["block"].signed_block.message.copy()
    block.slot = slot
    signed = spec.SignedBeaconBlock(message=block, signature=client.sign_block(block))
    assert stepped.node.desk.publish(signed, [], []).text == "ignored: block is from a future slot"
    member = next(iter(client.sync_members()))
    far = "ignored: slot is far in the future"
    assert [verdict.text for verdict in stepped.node.sync_gate.submit([client.sync_message(member, slot)])] == [far]
    contribution = views["contribution"].message.contribution.copy()
    contribution.slot = slot
    assert stepped.node.sync_gate.contribute(client.contribution(member, contribution)).text == far
    attester = int(views["attestation"].attester_index)
    assert stepped.submit(stepped.attestation(attester, 0, slot=slot)) == [far]
    aggregate = views["aggregate"].message.aggregate.copy()
    aggregate.data.slot = slot
    assert stepped.node.aggregates.submit(client.aggregate(attester, aggregate)).text == far
