import json

import pytest
from beacon_http import request
from beacon_outsider import Outsider
from beacon_stepper import SteppedNode
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.beacon.codec import from_json, to_json
from ssv_pool.devnet.beacon.pool import disjoint
from ssv_pool.devnet.beacon.simulated import DutyKind

ALL = frozenset(range(64))
MESSAGES = "/eth/v1/beacon/pool/sync_committees"
CONTRIBUTIONS = "/eth/v1/validator/contribution_and_proofs"


def outside(tmp_path, members=ALL):
    return SteppedNode(external=members, external_duties=frozenset({DutyKind.SYNC}), record=tmp_path / "record.jsonl")


@pytest.fixture
def stepped(tmp_path):
    """A node in slot 3 whose sync committee is outside."""
    stepped = outside(tmp_path)
    stepped.run_slots(0, 3)
    yield stepped
    stepped.node.close()


@pytest.fixture
def client(stepped):
    return Outsider(stepped)


def records(tmp_path, kind):
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    return [entry for entry in lines if entry["kind"] == kind]


def next_aggregate(stepped):
    """The sync aggregate of the block in the next slot."""
    stepped.run_slot(stepped.slot + 1)
    block = stepped.node.chain.store.blocks[stepped.node.chain.head()]
    assert block.slot == stepped.slot
    return block.body.sync_aggregate


def send(client, path, *views):
    return request(client.stepped, "POST", path, [to_json(view) for view in views])


def fetch(client, subcommittee, slot=None, root=None):
    slot = client.stepped.slot if slot is None else slot
    root = client.node.chain.head() if root is None else root
    query = f"slot={slot}&subcommittee_index={subcommittee}&beacon_block_root=0x{bytes(root).hex()}"
    return request(client.stepped, "GET", f"/eth/v1/validator/sync_committee_contribution?{query}")


def contribution_of(client, subcommittee):
    answer = fetch(client, subcommittee)
    assert answer.status == 200
    return from_json(client.spec.SyncCommitteeContribution, answer.json["data"])


def aggregator_in(client, subcommittee, number=0):
    places = range(subcommittee * 8, subcommittee * 8 + 8)
    found = [index for index, held in client.sync_members().items() if set(held) & set(places)]
    return found[number]


def test_without_messages_nobody_took_part(stepped):
    aggregate = next_aggregate(stepped)
    assert not any(aggregate.sync_committee_bits)


def test_messages_of_all_members_fill_the_aggregate(stepped, client, tmp_path):
    members = client.sync_members()
    assert any(len(places) > 1 for places in members.values()), "some validator sits in two places"
    messages = [client.sync_message(index, 3) for index in members]
    answer = send(client, MESSAGES, *messages)
    assert (answer.status, answer.body) == (200, b"")
    raw = b"".join(bytes(message.encode_bytes()) for message in messages[:5])
    assert request(stepped, "POST", MESSAGES, raw).status == 200
    verdicts = [entry["verdict"] for entry in records(tmp_path, "sync_message")]
    assert verdicts == ["accepted"] * len(members) + ["duplicate"] * 5
    assert stepped.node.intake.is_live(next(iter(members)), 0)
    assert all(next_aggregate(stepped).sync_committee_bits)


def test_some_messages_are_some_bits(stepped, client):
    members = dict(list(client.sync_members().items())[:5])
    assert send(client, MESSAGES, *(client.sync_message(index, 3) for index in members)).status == 200
    bits = next_aggregate(stepped).sync_committee_bits
    assert {place for place, bit in enumerate(bits) if bit} == {place for held in members.values() for place in held}


def test_members_outside_and_inside_together(tmp_path):
    stepped = outside(tmp_path, frozenset(range(32)))
    stepped.run_slots(0, 3)
    client = Outsider(stepped)
    for index in client.sync_members():
        if index < 32:
            assert send(client, MESSAGES, client.sync_message(index, 3)).status == 200
    assert all(next_aggregate(stepped).sync_committee_bits)


def test_contributions_fill_what_messages_do_not(stepped, client, tmp_path):
    """Contributions made of messages that this node never saw: all bits of two subcommittees."""
    other = SteppedNode(external=ALL, external_duties=frozenset({DutyKind.SYNC}))
    other.run_slots(0, 3)
    elsewhere = Outsider(other)
    assert other.node.chain.head() == stepped.node.chain.head()
    send(elsewhere, MESSAGES, *(elsewhere.sync_message(index, 3) for index in elsewhere.sync_members()))
    signed = [
        client.contribution(aggregator_in(client, number), contribution_of(elsewhere, number)) for number in (0, 2)
    ]
    assert fetch(client, 0).status == 404
    assert send(client, CONTRIBUTIONS, *signed).status == 200
    assert contribution_of(client, 2) == signed[1].message.contribution
    lone = next(index for index, places in client.sync_members().items() if set(places) <= set(range(8, 16)))
    assert send(client, MESSAGES, client.sync_message(lone, 3)).status == 200
    bits = [bool(bit) for bit in next_aggregate(stepped).sync_committee_bits]
    own = set(client.sync_members()[lone])
    assert bits == [place // 8 in (0, 2) or place in own for place in range(32)]
    entry = records(tmp_path, "contribution")[1]
    assert (entry["subcommittee_index"], entry["participants"], entry["verdict"]) == (2, 8, "accepted")


def test_a_contribution_that_adds_nothing_is_covered(stepped, client, tmp_path):
    send(client, MESSAGES, *(client.sync_message(index, 3) for index in client.sync_members()))
    contribution = contribution_of(client, 1)
    first, second = (client.contribution(aggregator_in(client, 1, number), contribution) for number in (0, 1))
    verdicts = ["accepted", "duplicate", "covered", "duplicate"]
    assert send(client, CONTRIBUTIONS, first, first, second, second).status == 200
    assert [entry["verdict"] for entry in records(tmp_path, "contribution")] == verdicts
    third = client.contribution(aggregator_in(client, 1, 2), contribution)
    third.message.selection_proof = first.message.selection_proof
    third.signature = client.sign(
        int(third.message.aggregator_index), third.message, client.spec.DOMAIN_CONTRIBUTION_AND_PROOF, 3
    )
    answer = send(client, CONTRIBUTIONS, third)
    assert answer.status == 400
    assert answer.json["failures"] == [{"index": 0, "message": "rejected: invalid selection proof signature"}]


def test_refused_messages(stepped, client, tmp_path):
    members = client.sync_members()
    first, second, third = list(members)[:3]
    stranger = next(index for index in range(64) if index not in members)
    stolen = client.sync_message(second, 3)
    stolen.validator_index = first
    unknown = client.sync_message(first, 3)
    unknown.validator_index = 64
    early = client.sync_message(third, 4)
    late = client.sync_message(third, 2)
    good = client.sync_message(first, 3)
    double = client.sync_message(first, 3, b"\1" * 32)
    answer = send(client, MESSAGES, stolen, unknown, client.sync_message(stranger, 3), early, late, good, double)
    assert answer.status == 400
    assert answer.message == "6 of 7 sync committee messages failed"
    assert [(entry["index"], entry["message"]) for entry in answer.json["failures"]] == [
        (0, "rejected: invalid sync committee message signature"),
        (1, "rejected: invalid sync committee message signature"),
        (2, "rejected: validator is not in the sync committee"),
        (3, "ignored: message is not for the current slot"),
        (4, "ignored: message is not for the current slot"),
        (6, "ignored: already seen message from this validator for this slot and subnet"),
    ]
    assert len({entry["root"] for entry in records(tmp_path, "sync_message")}) == 2
    for body in ({}, [{}], ["0"]):
        assert request(stepped, "POST", MESSAGES, body).status == 400


def test_refused_contributions(stepped, client):
    send(client, MESSAGES, *(client.sync_message(index, 3) for index in client.sync_members()))
    contribution = contribution_of(client, 1)
    aggregator = aggregator_in(client, 1)

    def changed(**values):
        view = contribution.copy()
        for name, value in values.items():
            setattr(view, name, value)
        return client.contribution(aggregator, view)

    stranger = next(index for index in range(64) if index not in client.sync_members())
    forged = client.contribution(aggregator, contribution)
    forged.message.aggregator_index = stranger
    answer = send(
        client,
        CONTRIBUTIONS,
        forged,
        client.contribution(stranger, contribution),
        changed(slot=2),
        changed(subcommittee_index=4),
        changed(aggregation_bits=[False] * 8),
        changed(beacon_block_root=b"\1" * 32),
        changed(signature=client.sync_message(aggregator, 3).signature),
    )
    assert answer.status == 400
    assert [(entry["index"], entry["message"]) for entry in answer.json["failures"]] == [
        (0, "rejected: invalid aggregator signature"),
        (1, "rejected: aggregator not in subcommittee"),
        (2, "ignored: contribution is not for the current slot"),
        (3, "rejected: subcommittee index out of range"),
        (4, "rejected: contribution has no participants"),
        (5, "rejected: invalid aggregate signature"),
        (6, "rejected: invalid aggregate signature"),
    ]
    assert fetch(client, 4).status == 400
    assert fetch(client, 1, slot=2).status == 404


def test_what_is_old_is_forgotten(stepped, client):
    send(client, MESSAGES, *(client.sync_message(index, 3) for index in client.sync_members()))
    send(client, CONTRIBUTIONS, client.contribution(aggregator_in(client, 0), contribution_of(client, 0)))
    stepped.run_slots(4, 9)
    seen = stepped.node.chain.seen
    assert not seen.sync_message_validator_slots
    assert not seen.sync_contribution_aggregator_slots
    assert not seen.sync_contribution_data
    assert stepped.node.sync_pool.count(3) == 0


def test_the_committee_of_the_next_period_signs_a_slot_early(tmp_path):
    """In the last slot of a period the members of the next one sign: their messages go into its first block.

    The first two periods have the same committee.
    """
    stepped = outside(tmp_path)
    client = Outsider(stepped)
    stepped.run_slots(0, 127)
    state = stepped.node.chain.current_state()
    assert state.current_sync_committee != state.next_sync_committee
    answer = send(client, MESSAGES, *(client.sync_message(index, 127) for index in client.sync_members()))
    assert answer.status == 200
    assert all(next_aggregate(stepped).sync_committee_bits)


@given(st.lists(st.frozensets(st.integers(0, 31), min_size=1), max_size=20))
def test_disjoint_votes(sets):
    chosen = disjoint([(places, bytes([number])) for number, places in enumerate(sets)])
    taken = [place for places, _ in chosen for place in places]
    assert len(taken) == len(set(taken))
    # Nothing that would still fit is left out, and the largest is in.
    assert all(places & set(taken) for places in sets)
    assert not sets or max(map(len, sets)) == len(chosen[0][0])
