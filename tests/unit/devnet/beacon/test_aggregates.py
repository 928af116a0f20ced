import json

import pytest
from beacon_http import SSZ, request
from beacon_outsider import Outsider
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.codec import from_json, to_json

ALL = frozenset(range(64))
SUBMIT = "/eth/v2/validator/aggregate_and_proofs"


@pytest.fixture
def stepped(tmp_path):
    """A node in slot 3 whose attesters are all outside and have voted once each up to slot 2."""
    stepped = SteppedNode(external=ALL, record=tmp_path / "record.jsonl")
    stepped.run_slots(0, 2)
    yield stepped
    stepped.node.close()


@pytest.fixture
def client(stepped):
    return Outsider(stepped)


def records(tmp_path):
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    return [entry for entry in lines if entry["kind"] == "aggregate"]


def members(stepped, committee=0):
    return stepped.node.chain.committees(0)[2][committee]


def vote(stepped, *validators):
    verdicts = stepped.submit(*(stepped.attestation(index, 0) for index in validators))
    assert verdicts == ["accepted"] * len(validators)


def query(stepped, version="v2", root=None, slot=2, **changes):
    root = stepped.node.chain.attestation_data(2).hash_tree_root() if root is None else root
    values = {"attestation_data_root": "0x" + root.hex(), "slot": slot, "committee_index": 0} | changes
    text = "&".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return f"/eth/{version}/validator/aggregate_attestation?{text}"


def aggregate_of(client):
    answer = request(client.stepped, "GET", query(client.stepped))
    assert (answer.status, answer.json["version"]) == (200, "fulu")
    return from_json(client.spec.Attestation, answer.json["data"])


def send(client, *views, path=SUBMIT):
    return request(client.stepped, "POST", path, [to_json(view) for view in views])


def test_the_aggregate_holds_every_vote(stepped, client):
    committee = members(stepped)
    vote(stepped, *committee[:3])
    first = aggregate_of(client)
    assert [bool(bit) for bit in first.aggregation_bits] == [place < 3 for place in range(len(committee))]
    vote(stepped, *committee[3:])
    whole = aggregate_of(client)
    assert all(whole.aggregation_bits)
    state = stepped.node.chain.current_state()
    assert client.spec.is_valid_indexed_attestation(state, client.spec.get_indexed_attestation(state, whole))
    answer = request(stepped, "GET", query(stepped), headers={"Accept": SSZ})
    assert answer.headers["Eth-Consensus-Version"] == "fulu"
    assert client.spec.Attestation.decode_bytes(answer.body) == whole
    answer = request(stepped, "GET", query(stepped, version="v1", committee_index=None))
    assert from_json(client.spec.Attestation, answer.json["data"]) == whole


def test_nothing_to_aggregate(stepped):
    for text in (query(stepped), query(stepped, root=b"\1" * 32), query(stepped, version="v1", committee_index=None)):
        assert request(stepped, "GET", text).status == 404
    vote(stepped, members(stepped)[0])
    assert request(stepped, "GET", query(stepped)).status == 200
    assert request(stepped, "GET", query(stepped, slot=1)).status == 404
    assert request(stepped, "GET", query(stepped, committee_index=7)).status == 404
    assert request(stepped, "GET", query(stepped, committee_index=None)).status == 400


def test_an_aggregate_of_votes_never_seen_gets_into_a_block(stepped, client, tmp_path):
    other = SteppedNode(external=ALL)
    other.run_slots(0, 2)
    vote(other, *members(other)[:2])
    signed = client.aggregate(members(stepped)[3], aggregate_of(Outsider(other)))
    assert request(stepped, "GET", query(stepped)).status == 404
    assert send(client, signed).status == 200
    assert aggregate_of(client) == signed.message.aggregate
    vote(stepped, members(stepped)[3])
    stepped.run_slot(3)
    block = stepped.node.chain.store.blocks[stepped.node.chain.head()]
    (attestation,) = block.body.attestations
    voters = client.spec.get_attesting_indices(stepped.node.chain.current_state(), attestation)
    assert set(map(int, voters)) == {*members(stepped)[:2], members(stepped)[3]}
    (entry,) = records(tmp_path)
    assert (entry["validator_index"], entry["slot"], entry["participants"]) == (members(stepped)[3], 2, 2)
    assert (entry["verdict"], entry["committee_index"]) == ("accepted", 0)
    assert stepped.node.intake.is_live(members(stepped)[3], 0)


def test_aggregates_that_add_nothing_are_covered(stepped, client, tmp_path):
    committee = members(stepped)
    vote(stepped, *committee)
    whole = aggregate_of(client)
    first, second = (client.aggregate(index, whole) for index in committee[:2])
    raw = bytes(client.spec.SignedAggregateAndProof.encode_bytes(first))
    verdicts = ["accepted", "duplicate", "covered", "duplicate"]
    assert send(client, first, first, second, second).status == 200
    assert [entry["verdict"] for entry in records(tmp_path)] == verdicts
    offset = (4).to_bytes(4, "little")
    assert request(stepped, "POST", SUBMIT, offset + raw).status == 200
    # Covered, but its proof is another's.
    third = client.aggregate(committee[2], whole)
    third.message.selection_proof = first.message.selection_proof
    third.signature = client.sign(committee[2], third.message, client.spec.DOMAIN_AGGREGATE_AND_PROOF, 2)
    answer = send(client, third)
    assert answer.json["failures"] == [{"index": 0, "message": "rejected: invalid selection proof signature"}]


def test_refused_aggregates(stepped, client):
    spec, committee = client.spec, members(stepped)
    vote(stepped, *committee[:3])
    good = aggregate_of(client)
    aggregator = committee[0]
    stranger = next(index for index in range(64) if index not in committee)

    def changed(change, signer=aggregator):
        view = good.copy()
        change(view)
        return client.aggregate(signer, view)

    forged = client.aggregate(aggregator, good)
    forged.message.aggregator_index = committee[1]
    cases = [
        (forged, "rejected: invalid aggregator signature"),
        (client.aggregate(stranger, good), "rejected: aggregator index not in committee"),
        (changed(lambda v: setattr(v.data, "index", 1)), "rejected: aggregate data index is non-zero"),
        (changed(lambda v: setattr(v, "committee_bits", [True, True, False, False])), None),
        (
            changed(lambda v: setattr(v, "committee_bits", [False] * 3 + [True])),
            "rejected: committee index out of range",
        ),
        (changed(lambda v: setattr(v, "aggregation_bits", [False] * len(committee))), "rejected: aggregate has no"),
        (changed(lambda v: setattr(v, "aggregation_bits", [True] * len(committee))), "rejected: invalid aggregate"),
        (changed(lambda v: setattr(v, "aggregation_bits", [True])), "rejected: aggregation bits length does not"),
        (changed(lambda v: setattr(v.data, "slot", 4)), "ignored: aggregate slot is from a future slot"),
        (
            changed(lambda v: setattr(v.data, "target", spec.Checkpoint(epoch=9, root=v.data.target.root))),
            "ignored: attestation epoch is not current or previous epoch",
        ),
    ]
    answer = send(client, *(view for view, _ in cases))
    assert answer.status == 400
    failures = {entry["index"]: entry["message"] for entry in answer.json["failures"]}
    for place, (_, message) in enumerate(cases):
        expected = message or "rejected: aggregate committee bits must specify exactly one committee"
        assert failures[place].startswith(expected), (place, failures[place])
    assert send(client, client.aggregate(aggregator, good)).status == 200


def test_an_aggregate_with_the_wrong_source_does_not_block_the_right_one(stepped, client):
    spec, committee = client.spec, members(stepped)
    wrong = stepped.node.chain.attestation_data(2).copy()
    wrong.source = spec.Checkpoint(epoch=0, root=b"\1" * 32)
    lying = spec.Attestation(
        aggregation_bits=[place == 0 for place in range(len(committee))],
        data=wrong,
        signature=stepped.sign(committee[0], wrong),
        committee_bits=[index == 0 for index in range(int(spec.MAX_COMMITTEES_PER_SLOT))],
    )
    answer = send(client, client.aggregate(committee[0], lying))
    message = "rejected: source is not the justified checkpoint of the target"
    assert answer.json["failures"] == [{"index": 0, "message": message}]
    vote(stepped, committee[1])
    assert send(client, client.aggregate(committee[0], aggregate_of(client))).status == 200


def test_a_second_aggregate_of_an_aggregator_is_refused_and_old_ones_forgotten(stepped, client):
    committee = members(stepped)
    vote(stepped, *committee[:2])
    assert send(client, client.aggregate(committee[0], aggregate_of(client))).status == 200
    vote(stepped, *committee[2:4])
    answer = send(client, client.aggregate(committee[0], aggregate_of(client)), path=SUBMIT.replace("v2", "v1"))
    message = "ignored: already seen aggregate from this aggregator for this epoch"
    assert answer.json["failures"] == [{"index": 0, "message": message}]
    stepped.run_slots(3, 40)
    assert not stepped.node.chain.seen.aggregator_epochs
    assert not stepped.node.chain.seen.aggregate_data_roots


@pytest.mark.parametrize("body", [{}, [{}], [3], "x"])
def test_malformed_lists(stepped, body):
    assert request(stepped, "POST", SUBMIT, body).status == 400
    answer = request(stepped, "POST", SUBMIT, [], headers={"Eth-Consensus-Version": "deneb"})
    assert answer.message == "header Eth-Consensus-Version: found deneb, expected fulu"
