import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.inclusion import CanonicalBlock, IncludedAttestation
from ssv_pool.devnet.slashcheck import (
    Offence,
    OffenceKind,
    SignedVote,
    find_offences,
    votes_of_blocks,
    votes_of_record,
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


def test_votes_of_a_record_file(tmp_path):
    path = tmp_path / "votes.jsonl"
    entry = {"validator_index": 3, "slot": 9, "source_epoch": 0, "target_epoch": 1, "data_root": "0x01"}
    double = entry | {"data_root": "0x02", "received": 1.5, "verdict": "ignored: already seen"}
    path.write_text("".join(json.dumps(line) + "\n" for line in (entry, double)))
    found = list(votes_of_record(path))
    assert found == [
        SignedVote(3, 0, 1, "0x01", "line 1 of votes.jsonl"),
        SignedVote(3, 0, 1, "0x02", "line 2 of votes.jsonl"),
    ]
    assert find_offences(found) == [Offence(OffenceKind.DOUBLE, *found)]
    with path.open("a") as file:
        file.write('{"slot": 1}\n')
    with pytest.raises(ValueError, match="line 3: not an attestation record"):
        list(votes_of_record(path))


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
