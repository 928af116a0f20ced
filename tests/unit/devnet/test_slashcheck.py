from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.inclusion import CanonicalBlock, IncludedAttestation
from ssv_pool.devnet.record import Received
from ssv_pool.devnet.slashcheck import (
    BlockOffence,
    Offence,
    OffenceKind,
    SignedBlock,
    SignedVote,
    blocks_received,
    canonical_proposals,
    find_double_proposals,
    find_offences,
    votes_of_blocks,
    votes_received,
)
from ssv_pool.protocol.types import AttestationData, Checkpoint


def vote(source, target, root="0xaa", validator=1, origin="here"):
    return SignedVote(validator, source, target, root, origin)


def test_nothing_slashable():
    votes = [vote(0, 1, "0x01"), vote(1, 2, "0x02"), vote(1, 2, "0x02", origin="again"), vote(2, 5, "0x03")]
    other = [vote(0, 9, "0x04", validator=2), vote(0, 1, "0x05", validator=2)]
    assert find_offences([*votes, *other, vote(3, 6, "0x06")]) == []


def test_double_vote():
    first, second = vote(0, 2, "0x01", origin="line 1"), vote(1, 2, "0x02", origin="line 7")
    offences = find_offences([first, vote(0, 3, "0x09", validator=2), second])
    assert offences == [Offence(OffenceKind.DOUBLE, first, second)]
    assert str(offences[0]) == "validator 1: double vote: 0->2 0x01 (line 1) and 1->2 0x02 (line 7)"


@pytest.mark.parametrize("turn", [1, -1])
def test_surround_vote(turn):
    outer, inner = vote(1, 6, "0x01"), vote(2, 5, "0x02")
    votes = [vote(0, 1, "0x03"), outer, inner, vote(6, 7, "0x04")]
    assert find_offences(votes[::turn]) == [Offence(OffenceKind.SURROUND, outer, inner)]


votes = st.builds(
    lambda validator, source, length, root: vote(source, source + length, f"0x{source:x}{length:x}{root:x}", validator),
    st.integers(0, 1),
    st.integers(0, 6),
    st.integers(0, 4),
    st.integers(0, 1),
)


@given(st.lists(votes, max_size=12))
def test_finds_something_exactly_where_the_specification_does(seen):
    def slashable(one, two):
        double = one.data_root != two.data_root and one.target_epoch == two.target_epoch
        surround = one.source_epoch < two.source_epoch and two.target_epoch < one.target_epoch
        return one.validator_index == two.validator_index and (double or surround)

    expected = {
        one.validator_index for a, b in combinations(seen, 2) for one, two in ((a, b), (b, a)) if slashable(one, two)
    }
    offences = find_offences(seen)
    assert {offence.first.validator_index for offence in offences} == expected
    assert all(slashable(offence.first, offence.second) for offence in offences)


def received(kind, index=3, slot=9, root="0x01", verdict="accepted"):
    return Received(kind, index, slot, 1.5, verdict, "line 1 of r.jsonl", root, 0, 1)


def test_what_a_beacon_node_received_counts_whatever_it_said_of_it():
    items = [
        received("attestation"),
        received("attestation", root="0x02", verdict="rejected: no"),
        received("block", root="0x03"),
        received("block", root="0x04", verdict="ignored: seen"),
        received("aggregate"),
    ]
    votes = list(votes_received(items))
    assert votes == [SignedVote(3, 0, 1, root, "line 1 of r.jsonl") for root in ("0x01", "0x02")]
    assert find_offences(votes) == [Offence(OffenceKind.DOUBLE, *votes)]
    blocks = list(blocks_received(items))
    assert blocks == [SignedBlock(3, 9, root, "line 1 of r.jsonl") for root in ("0x03", "0x04")]
    assert find_double_proposals(blocks) == [BlockOffence(*blocks)]


def test_double_proposals():
    first, again = SignedBlock(1, 5, "0x01", "a"), SignedBlock(1, 5, "0x01", "b")
    other_slot, other_proposer = SignedBlock(1, 6, "0x02", "c"), SignedBlock(2, 5, "0x03", "d")
    assert find_double_proposals([first, again, other_slot, other_proposer]) == []
    second, third = SignedBlock(1, 5, "0x04", "e"), SignedBlock(1, 5, "0x05", "f")
    found = find_double_proposals([first, other_slot, second, again, third])
    assert found == [BlockOffence(first, second), BlockOffence(first, third)]
    assert str(found[0]) == "validator 1: double proposal: slot 5: 0x01 (a) and 0x04 (e)"


def test_canonical_blocks_are_named_by_the_blocks_after_them():
    blocks = [
        CanonicalBlock(slot, bytes([parent]) * 32, (), proposer) for slot, parent, proposer in ((3, 1, 7), (5, 3, 8))
    ]
    assert list(canonical_proposals(blocks)) == [SignedBlock(7, 3, "0x" + "03" * 32, "block of slot 3")]


def test_votes_of_blocks():
    data = AttestationData(9, 0, bytes(32), Checkpoint(0, bytes(32)), Checkpoint(1, bytes(32)))
    committees = {(9, 0): (4, 5), (9, 1): (6, 7)}
    attestation = IncludedAttestation(data, (0, 1), (True, False, False, True))
    unknown = IncludedAttestation(AttestationData(1, 0, bytes(32), data.source, data.target), (0,), (True,))
    block = CanonicalBlock(10, bytes(32), (attestation, unknown))
    root = "0x" + data.hash_tree_root().hex()
    assert list(votes_of_blocks([block], committees)) == [
        SignedVote(4, 0, 1, root, "block of slot 10"),
        SignedVote(7, 0, 1, root, "block of slot 10"),
    ]
