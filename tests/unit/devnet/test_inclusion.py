import pytest

from ssv_pool.devnet.inclusion import (
    CanonicalBlock,
    DutyResult,
    IncludedAttestation,
    Inclusion,
    SlotResult,
    count_inclusion,
    parse_block,
    parse_committees,
)
from ssv_pool.protocol.types import AttestationData, Checkpoint

ROOTS = {slot: bytes([slot]) * 32 for slot in range(20)}
COMMITTEES = {
    (slot, index): (10 * slot + 2 * index, 10 * slot + 2 * index + 1) for slot in range(1, 6) for index in (0, 1)
}


def data(slot, head):
    return AttestationData(slot, 0, ROOTS[head], Checkpoint(0, bytes(32)), Checkpoint(0, bytes(32)))


def vote(slot, head, bits, committees=(0, 1)):
    return IncludedAttestation(data(slot, head), committees, tuple(bit == "1" for bit in bits))


def block(slot, parent, *attestations):
    return CanonicalBlock(slot, ROOTS[parent], attestations)


def test_counts():
    blocks = [
        # Slot 4 is empty: the votes of slots 3 and 4 could not be included before slot 5.
        block(5, 3, vote(3, 3, "0100"), vote(4, 3, "10", committees=(1,)), vote(3, 2, "1000")),
        block(2, 1, vote(1, 1, "1111")),
        block(3, 2, vote(2, 1, "1000"), vote(1, 0, "1000")),
        block(6, 5, vote(3, 3, "0001"), vote(3, 3, "0100")),
    ]
    inclusion = count_inclusion([10, 20, 21, 30, 31, 33, 42, 99], COMMITTEES, blocks, range(1, 5))
    assert inclusion == Inclusion(
        (
            DutyResult(10, 1, included_slot=2, earliest_slot=2, correct_head=True),
            DutyResult(20, 2, included_slot=3, earliest_slot=3, correct_head=False),
            DutyResult(21, 2, included_slot=None, earliest_slot=3, correct_head=False),
            DutyResult(30, 3, included_slot=5, earliest_slot=5, correct_head=False),
            DutyResult(31, 3, included_slot=5, earliest_slot=5, correct_head=True),
            DutyResult(33, 3, included_slot=6, earliest_slot=5, correct_head=True),
            DutyResult(42, 4, included_slot=5, earliest_slot=5, correct_head=True),
        )
    )
    assert (inclusion.assigned, inclusion.included, inclusion.correct_head) == (7, 6, 4)
    assert inclusion.rate == pytest.approx(6 / 7)
    assert inclusion.correctness == pytest.approx(4 / 6)
    assert inclusion.effectiveness == pytest.approx((5 + 2 / 3) / 7)
    assert inclusion.by_slot() == [
        SlotResult(1, 1, 1, 1),
        SlotResult(2, 2, 1, 0),
        SlotResult(3, 3, 3, 2),
        SlotResult(4, 1, 1, 1),
    ]


def test_no_duties_and_no_blocks():
    nothing = count_inclusion([], COMMITTEES, [], range(5))
    assert (nothing.rate, nothing.correctness, nothing.effectiveness) == (1.0, 1.0, 1.0)
    missed = count_inclusion([10], COMMITTEES, [], range(5))
    assert missed.duties == (DutyResult(10, 1, None, None, correct_head=False),)
    assert (missed.rate, missed.effectiveness) == (0.0, 0.0)


def test_bits_that_do_not_fit_their_committees():
    with pytest.raises(ValueError, match="attestation of slot 1: 3 bits, expected 4"):
        count_inclusion([10], COMMITTEES, [block(2, 1, vote(1, 1, "111"))], range(5))


def test_a_block_from_json():
    checkpoint = {"epoch": "3", "root": "0x" + "11" * 32}
    attestation = {
        "aggregation_bits": "0x1501",  # 1 0 1 0 1 0 0 0, and the bit that ends the list
        "committee_bits": "0x05",
        "data": {
            "slot": "25",
            "index": "0",
            "beacon_block_root": "0x" + "22" * 32,
            "source": checkpoint,
            "target": checkpoint,
        },
        "signature": "0x" + "00" * 96,
    }
    older = {name: value for name, value in attestation.items() if name != "committee_bits"}
    body = {
        "attestations": [attestation, older | {"data": attestation["data"] | {"index": "3"}}],
        "sync_aggregate": {"sync_committee_bits": "0x0380", "sync_committee_signature": "0x"},
        "voluntary_exits": [{"message": {"epoch": "2", "validator_index": "63"}, "signature": "0x"}],
    }
    message = {"slot": "26", "proposer_index": "7", "parent_root": "0x" + "33" * 32, "body": body}
    source = Checkpoint(3, b"\x11" * 32)
    expected_data = AttestationData(25, 0, b"\x22" * 32, source, source)
    bits = (True, False, True, False, True, False, False, False)
    expected = IncludedAttestation(expected_data, (0, 2), bits)
    # Before Electra an attestation is of the one committee that its data names.
    before = IncludedAttestation(AttestationData(25, 3, b"\x22" * 32, source, source), (3,), bits)
    sync = (True, True, *[False] * 13, True)
    assert parse_block({"message": message, "signature": "0x"}) == CanonicalBlock(
        26, b"\x33" * 32, (expected, before), 7, sync, (63,)
    )


@pytest.mark.parametrize("epoch", [0, 3])
def test_committees_also_where_slot_and_index_are_mixed_up(epoch):
    members = {(slot, index): (slot, index) for slot in range(8 * epoch, 8 * epoch + 8) for index in (0, 1)}

    def entry(slot, index, validators):
        return {"slot": str(slot), "index": str(index), "validators": list(map(str, validators))}

    right = [entry(slot, index, validators) for (slot, index), validators in members.items()]
    lodestar = [entry(index, slot - 8 * epoch, validators) for (slot, index), validators in members.items()]
    assert parse_committees(right, epoch, 8) == parse_committees(lodestar, epoch, 8) == members
    with pytest.raises(ValueError, match="committees of epoch 5: expected some of each of its 8 slots"):
        parse_committees(right[1:], 5, 8)
