"""Proposals, sync committee signatures, aggregates, contributions and exits, from made-up chains and records."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.inclusion import CanonicalBlock
from ssv_pool.devnet.participation import (
    Result,
    Tally,
    aggregates,
    contributions,
    exits_included,
    late_duties,
    participation_by_epoch,
    proposals,
    sync_messages,
    taken_aggregates,
    taken_contributions,
)
from ssv_pool.devnet.record import Received, read_record

EPOCH = 4


def block(slot, proposer=0, bits="", exits=()):
    return CanonicalBlock(slot, bytes(32), (), proposer, tuple(bit == "1" for bit in bits), exits)


def received(kind, index, slot, verdict="accepted", **changes):
    return replace(Received(kind, index, slot, 1.0, verdict, "here"), **changes)


def test_tallies():
    results = [Result(1, 4, True), Result(2, 4, False), Result(1, 5, True)]
    assert Tally.of(results) == Tally(3, 2)
    assert Tally.of(results, lambda result: result.slot == 4) == Tally(2, 1)
    assert (Tally(3, 2).missed, Tally(4, 3).rate, Tally(0, 0).rate) == (1, 0.75, 1.0)


def test_a_slot_with_a_block_was_proposed_in():
    blocks = [block(4, proposer=7), block(6, proposer=8), block(7, proposer=9)]
    proposers = {4: 7, 5: 7, 6: 8}
    assert proposals([7, 9], proposers, blocks, range(4, 8)) == [
        Result(7, 4, True),
        Result(7, 5, False),
        Result(9, 7, True),  # nobody told who had to: the block says who did
    ]
    assert proposals([7], proposers, blocks, [6]) == []


def test_sync_signatures_are_of_the_slot_before_their_block():
    committees = {1: (5, 6, 5, 9), 2: (6, 6, 6, 6)}
    blocks = [block(8, bits="0111"), block(5, bits="1011"), block(6, bits="0000"), block(13, bits="1111")]
    assert sync_messages([5, 6], committees, blocks, [4, 7, 12], EPOCH) == [
        Result(5, 4, True),
        Result(6, 4, False),
        Result(5, 4, True),
        # The next epoch's committee signs the last slot of the one before.
        Result(6, 7, False),
        *[Result(6, 7, True)] * 3,
        # Of epoch 3 nobody told the committee.
    ]


def test_participation_counts_all_places_of_the_blocks_there_are():
    # The block of slot 4 holds the signatures of slot 3.
    blocks = [block(1, bits="1111"), block(4, bits="1100"), block(7, bits="0001")]
    assert participation_by_epoch(blocks, EPOCH) == {0: 0.75, 1: 0.25}


def test_every_attester_aggregates():
    assert aggregates([(4, 1), (4, 2)], {(4, 2), (5, 1)}) == [Result(1, 4, False), Result(2, 4, True)]


def test_a_member_contributes_once_for_each_of_its_subcommittees():
    committee = (1, 1, 2, 1, 3, 3, 1, 2)  # subcommittees {1}, {1, 2}, {3}, {1, 2}
    delivered = {(4, 1, 0), (4, 1, 1), (4, 2, 3), (4, 2, 0)}
    assert contributions([1, 2], {1: committee}, delivered, [4], EPOCH) == [
        Result(1, 4, True),
        Result(1, 4, True),
        Result(1, 4, False),
        Result(2, 4, False),
        Result(2, 4, True),
    ]
    assert contributions([1], {1: committee}, delivered, [7], EPOCH) == [], "the next epoch's committee is not known"


def test_what_a_node_did_not_refuse_was_delivered():
    items = [
        received("aggregate", 1, 4),
        received("aggregate", 2, 4, "covered"),
        received("aggregate", 3, 4, "ignored: seen"),
        received("aggregate", 4, 4, "rejected: not an aggregator"),
        received("contribution", 5, 4, subcommittee=3),
        received("contribution", 6, 4, "rejected: no", subcommittee=3),
        received("attestation", 7, 4),
    ]
    assert taken_aggregates(items) == {(4, 1), (4, 2), (4, 3)}
    assert taken_contributions(items) == {(4, 5, 3)}


def test_exits_and_what_came_after_them():
    assert exits_included([block(9, exits=(3,)), block(8, exits=(4, 5))]) == {3: 9, 4: 8, 5: 8}
    items = [
        received("attestation", 3, 19),
        received("attestation", 3, 20),
        received("block", 3, 21),
        received("sync_message", 3, 22),
        received("voluntary_exit", 3, 23),
        received("attestation", 4, 24),
    ]
    assert [item.slot for item in late_duties(items, {3: 5}, EPOCH)] == [20, 21]


LINES = [
    {"kind": "attestation", "source_epoch": 0, "target_epoch": 2, "data_root": "0x0a"},
    {"kind": "block", "root": "0x0b", "blinded": False},
    {"kind": "contribution", "root": "0x0c", "subcommittee_index": 2, "participants": 3},
    {"kind": "voluntary_exit", "epoch": 2},
]
COMMON = {"validator_index": 3, "slot": 9, "received": 1.5, "verdict": "ignored: already seen"}


def test_a_record_is_read_line_by_line(tmp_path):
    path = tmp_path / "objects.jsonl"
    path.write_text("".join(json.dumps(COMMON | line) + "\n" for line in LINES))
    found = list(read_record(path))
    assert [item.kind for item in found] == [line["kind"] for line in LINES]
    assert [item.origin for item in found] == [f"line {number} of objects.jsonl" for number in (1, 2, 3, 4)]
    assert {(item.validator_index, item.slot, item.received, item.verdict) for item in found} == {
        (3, 9, 1.5, "ignored: already seen")
    }
    assert [(item.root, item.target_epoch, item.subcommittee) for item in found] == [
        ("0x0a", 2, 0),
        ("0x0b", 0, 0),
        ("", 0, 2),
        ("", 0, 0),
    ]


@pytest.mark.parametrize("line", ["", "[]", "{", '{"slot": 1}', json.dumps(COMMON | {"kind": "block"}), "5"])
def test_a_line_that_is_none_of_the_nodes_is_named(tmp_path, line):
    path = tmp_path / "objects.jsonl"
    path.write_text(json.dumps(COMMON | LINES[0]) + "\n" + line + "\n")
    with pytest.raises(ValueError, match="line 2: not a record of the beacon node"):
        list(read_record(path))


@given(st.sets(st.tuples(st.integers(4, 7), st.integers(0, 3))), st.sets(st.integers(4, 8)))
def test_nothing_is_done_that_was_not_delivered_or_put_into_a_block(delivered, slots_with_blocks):
    attesters = [(slot, index) for slot in range(4, 8) for index in range(4)]
    assert Tally.of(aggregates(attesters, delivered)).done == len(delivered)
    blocks = [block(slot, proposer=slot % 4, bits="1010") for slot in slots_with_blocks]
    made = proposals(range(4), {slot: slot % 4 for slot in range(4, 8)}, blocks, range(4, 8))
    assert Tally.of(made) == Tally(4, len(slots_with_blocks & set(range(4, 8))))
    signed = sync_messages(range(4), {1: (0, 1, 2, 3), 2: (0, 1, 2, 3)}, blocks, range(4, 8), EPOCH)
    following = len(slots_with_blocks & set(range(5, 9)))
    assert Tally.of(signed) == Tally(4 * following, 2 * following)
