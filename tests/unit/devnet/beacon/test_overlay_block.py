import random

import pytest
from beacon_parity import EFFORT, assert_same, fast, published, random_state, sign

ATTESTATION_FAULTS = ("", "", "", "signature", "source", "target", "head", "index", "slot", "empty", "long", "short")


def make_attestation(spec, state, fault, seed):
    rng = random.Random(seed)
    slot = spec.Slot(max(0, int(state.slot) - rng.randrange(1, 9)))
    epoch = spec.compute_epoch_at_slot(slot)
    current = spec.get_current_epoch(state)
    justified = state.current_justified_checkpoint if epoch == current else state.previous_justified_checkpoint
    data = spec.AttestationData(
        slot=slot,
        beacon_block_root=spec.get_block_root_at_slot(state, slot),
        source=justified,
        target=spec.Checkpoint(epoch=epoch, root=spec.get_block_root(state, epoch)),
    )
    committees = int(spec.get_committee_count_per_slot(state, epoch))
    members = [
        int(member)
        for index in range(committees)
        for member in spec.get_beacon_committee(state, slot, spec.CommitteeIndex(index))
    ]
    bits = [rng.random() < 0.8 for _ in members]
    if fault == "source":
        data.source.epoch += 1
    elif fault == "target":
        data.target.root = b"\1" * 32
    elif fault == "head":
        data.beacon_block_root = b"\1" * 32
    elif fault == "index":
        data.index = 1
    elif fault == "slot":
        data.slot = state.slot
    signers = [member for member, bit in zip(members, bits, strict=True) if bit]
    domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
    root = spec.compute_signing_root(data, domain)
    signature = sign([*signers, 0] if fault == "signature" else signers, root)
    shapes = {"empty": [False] * len(bits), "long": [*bits, True], "short": bits[:-1]}
    return spec.Attestation(
        aggregation_bits=shapes.get(fault, bits),
        data=data,
        signature=signature,
        committee_bits=[index < committees for index in range(spec.MAX_COMMITTEES_PER_SLOT)],
    )


@pytest.mark.parametrize("seed", range(8 * EFFORT))
def test_attestations(seed):
    rng = random.Random(f"attestation {seed}")
    state = random_state(published(), rng.choice([16, 33, 64]), rng)
    state.slot = max(int(state.slot), 1)
    for place, fault in enumerate(ATTESTATION_FAULTS):
        # The specification reads bits beyond the list's end as an IndexError, the overlay says the list is too short.
        assert_same(
            state,
            lambda spec, copy, f=fault, p=place: spec.process_attestation(
                copy, make_attestation(spec, copy, f, f"{seed} {p}")
            ),
        )


def test_some_random_attestations_are_accepted_and_some_refused():
    outcomes = set()
    for seed in range(4):
        rng = random.Random(f"attestation {seed}")
        state = random_state(published(), rng.choice([16, 33, 64]), rng)
        state.slot = max(int(state.slot), 1)
        for fault in ("", "signature"):
            outcome = assert_same(
                state,
                lambda spec, copy, f=fault, s=seed: spec.process_attestation(copy, make_attestation(spec, copy, f, s)),
            )
            outcomes.add((fault, outcome == "refused"))
    assert ("", False) in outcomes
    assert ("signature", False) not in outcomes


@pytest.mark.parametrize("seed", range(6 * EFFORT))
@pytest.mark.parametrize("presence", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_sync_aggregates(presence, seed):
    rng = random.Random(f"sync {presence} {seed}")
    state = random_state(published(), 24, rng)
    state.current_sync_committee = published().get_next_sync_committee(state)
    columns = fast().columns.of(state)
    members = [columns.index_of(bytes(key)) for key in state.current_sync_committee.pubkeys]
    bits = [rng.random() < presence for _ in members]
    signers = [member for member, bit in zip(members, bits, strict=True) if bit]
    if seed % 3 == 2:
        signers.append(1)

    def work(spec, copy):
        previous = spec.Slot(max(int(copy.slot), 1) - 1)
        domain = spec.get_domain(copy, spec.DOMAIN_SYNC_COMMITTEE, spec.compute_epoch_at_slot(previous))
        root = spec.compute_signing_root(spec.get_block_root_at_slot(copy, previous), domain)
        signature = sign(signers, root) if signers else spec.G2_POINT_AT_INFINITY
        aggregate = spec.SyncAggregate(sync_committee_bits=bits, sync_committee_signature=signature)
        spec.process_sync_aggregate(copy, aggregate)

    state.slot = max(int(state.slot), 1)
    outcome = assert_same(state, work)
    assert (outcome == "refused") == (seed % 3 == 2)
