import json

import pytest
from beacon_stepper import SteppedNode

EXTERNAL = frozenset(range(8))


@pytest.fixture
def stepped(tmp_path):
    stepped = SteppedNode(external=EXTERNAL, record=tmp_path / "record.jsonl")
    yield stepped
    stepped.node.close()


def records(tmp_path):
    return [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]


def at_duty(stepped, validator, epoch=0):
    """Run the chain up to the validator's duty in ``epoch``."""
    slot, _ = stepped.duty_of(validator, epoch)
    first = stepped.slot + 1 if stepped.slot else 0
    stepped.run_slots(first, slot)
    return slot


def test_an_honest_vote_is_accepted_recorded_and_included(stepped, tmp_path):
    slot = at_duty(stepped, 3)
    attestation = stepped.attestation(3, 0)
    assert stepped.submit(attestation) == ["accepted"]
    assert stepped.submit(attestation) == ["duplicate"]
    data = attestation.data
    entry = {
        "kind": "attestation",
        "validator_index": 3,
        "slot": slot,
        "source_epoch": 0,
        "target_epoch": 0,
        "data_root": "0x" + data.hash_tree_root().hex(),
        "received": stepped.clock.time,
    }
    assert records(tmp_path) == [entry | {"verdict": "accepted"}, entry | {"verdict": "duplicate"}]
    stepped.run_slot(slot + 1)
    block = stepped.node.chain.store.blocks[stepped.node.chain.head()]
    assert block.slot == slot + 1
    state = stepped.node.chain.current_state()
    assert any(3 in stepped.node.spec.get_attesting_indices(state, vote) for vote in block.body.attestations)
    assert stepped.node.gate.is_live(3, 0)


def test_many_votes_at_once_are_judged_one_by_one(stepped):
    slots = {stepped.duty_of(validator, 0)[0] for validator in EXTERNAL}
    stepped.run_slots(0, max(slots))
    good = [stepped.attestation(validator, 0) for validator in sorted(EXTERNAL)]
    bad = good[2].copy()
    bad.signature = good[3].signature
    verdicts = stepped.submit(*good[:2], bad, *good[3:])
    assert verdicts == ["accepted", "accepted", "rejected: invalid attestation signature", *["accepted"] * 5]


def test_a_double_vote_is_refused_but_recorded(stepped, tmp_path):
    slot = at_duty(stepped, 1)
    genesis = stepped.node.chain.history.genesis.root
    assert slot > 0
    assert stepped.submit(stepped.attestation(1, 0)) == ["accepted"]
    double = stepped.attestation(1, 0, beacon_block_root=genesis)
    refusal = "ignored: already seen attestation from this validator for this epoch"
    assert stepped.submit(double) == [refusal]
    assert [entry["verdict"] for entry in records(tmp_path)] == ["accepted", refusal]
    assert len({entry["data_root"] for entry in records(tmp_path)}) == 2


def test_a_vote_with_the_wrong_source_is_rejected_and_does_not_block_the_right_one(stepped):
    at_duty(stepped, 5)
    spec = stepped.node.spec
    wrong = stepped.attestation(5, 0, source=spec.Checkpoint(epoch=0, root=b"\1" * 32))
    assert stepped.submit(wrong) == ["rejected: source is not the justified checkpoint of the target"]
    assert stepped.submit(stepped.attestation(5, 0)) == ["accepted"]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"index": 1}, "rejected: attestation data index is non-zero"),
        ({"beacon_block_root": b"\1" * 32}, "ignored: block being voted for has not been seen"),
        ({"slot": 9}, "rejected: attestation epoch does not match target epoch"),
    ],
)
def test_rules_of_the_specification(stepped, changes, verdict):
    # The validator's duty is late enough in the epoch for slot 9 to be no future slot (disparity aside).
    validator = max(EXTERNAL, key=lambda index: stepped.duty_of(index, 0)[0])
    at_duty(stepped, validator)
    stepped.run_slots(stepped.slot + 1, 9)
    assert stepped.submit(stepped.attestation(validator, 0, **changes)) == [verdict]


def test_epochs_out_of_range(stepped):
    spec = stepped.node.spec
    stepped.run_slots(0, 17)
    for epoch, slot in ((0, 3), (900, 7200), (2**63, 2**63)):
        data = stepped.node.chain.attestation_data(17).copy()
        data.slot, data.target = slot, spec.Checkpoint(epoch=epoch, root=data.target.root)
        vote = spec.SingleAttestation(attester_index=2, data=data, signature=stepped.sign(2, data))
        assert stepped.submit(vote) == ["ignored: attestation epoch is not current or previous epoch"]


def test_votes_of_strangers(stepped, tmp_path):
    slot = at_duty(stepped, 4)
    vote = stepped.attestation(4, 0)
    unknown = vote.copy()
    unknown.attester_index = 64
    _, committee = stepped.duty_of(4, 0)
    members = stepped.node.chain.committees(0)[slot][committee]
    outsider = next(index for index in range(64) if index not in members)
    other = vote.copy()
    other.attester_index, other.signature = outsider, stepped.sign(outsider, vote.data)
    far = vote.copy()
    far.committee_index = 60
    assert stepped.submit(unknown, other, far) == [
        "rejected: invalid attestation signature",
        "rejected: attester is not a member of the committee",
        "rejected: committee index out of range",
    ]
    assert [entry["validator_index"] for entry in records(tmp_path)] == [outsider, 4]


def test_a_late_vote_still_gets_into_a_block(stepped):
    at_duty(stepped, 6)
    vote = stepped.attestation(6, 0)
    stepped.run_slots(stepped.slot + 1, 10)
    assert stepped.submit(vote) == ["accepted"]
    stepped.run_slot(11)
    block = stepped.node.chain.store.blocks[stepped.node.chain.head()]
    assert vote.data.hash_tree_root() in {entry.data.hash_tree_root() for entry in block.body.attestations}


def test_nobody_else_may_vote_for_a_simulated_validator(stepped):
    slot = at_duty(stepped, 20)
    genesis = stepped.node.chain.history.genesis.root
    assert stepped.submit(stepped.attestation(20, 0)) == ["duplicate"]
    if slot > 0:
        double = stepped.attestation(20, 0, beacon_block_root=genesis)
        assert stepped.submit(double) == ["ignored: already seen attestation from this validator for this epoch"]
