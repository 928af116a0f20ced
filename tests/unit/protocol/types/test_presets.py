"""What depends on the beacon chain's preset, against the executable specification."""

import importlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ssz_oracle import REFUSED, damaged, reencoded

from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types import AttestationData, Checkpoint, ProtocolError, Signature
from ssv_pool.protocol.types import beacon_schemas as tables
from ssv_pool.protocol.types.attestations import (
    AggregateAndProof,
    Attestation,
    ElectraAttestation,
    SignedAggregateAndProof,
    one_bit,
)
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL, SYNC_COMMITTEE_SUBNETS, preset_named
from ssv_pool.protocol.types.versions import DataVersion

every_preset = pytest.mark.parametrize("preset", [MAINNET, MINIMAL], ids=lambda preset: preset.name)
DICE = random.Random(3)
DATA = AttestationData(5, 0, DICE.randbytes(32), Checkpoint(0, DICE.randbytes(32)), Checkpoint(1, DICE.randbytes(32)))
SIGNATURE = Signature(DICE.randbytes(96))


def specification(preset, fork="fulu"):
    pytest.importorskip("eth_consensus_specs")
    return importlib.import_module(f"eth_consensus_specs.{fork}.{preset.name}")


def electra(preset, bits=300):
    return ElectraAttestation(one_bit(7, bits), DATA, SIGNATURE, (5).to_bytes(preset.committee_bytes, "little"))


@every_preset
def test_sizes_are_the_specifications(preset):
    spec = specification(preset)
    assert preset_named(preset.name) is preset
    assert preset.name == spec.config.PRESET_BASE
    assert preset.sync_committee_size == spec.SYNC_COMMITTEE_SIZE
    assert preset.epochs_per_sync_committee_period == spec.EPOCHS_PER_SYNC_COMMITTEE_PERIOD
    assert preset.max_validators_per_committee == spec.MAX_VALIDATORS_PER_COMMITTEE
    assert preset.max_committees_per_slot == spec.MAX_COMMITTEES_PER_SLOT
    assert preset.max_withdrawals_per_payload == spec.MAX_WITHDRAWALS_PER_PAYLOAD
    assert SYNC_COMMITTEE_SUBNETS == spec.SYNC_COMMITTEE_SUBNET_COUNT


def test_other_presets_are_not_known():
    with pytest.raises(ValueError, match=r"^preset 'gnosis', expected one of mainnet, minimal$"):
        preset_named("gnosis")


@every_preset
def test_aggregates_have_the_specifications_bytes_and_roots(preset):
    spec = specification(preset)
    message = AggregateAndProof(9, electra(preset), Signature(DICE.randbytes(96)))
    signed = SignedAggregateAndProof(message, SIGNATURE)
    expected = spec.SignedAggregateAndProof.decode_bytes(signed.encode())
    assert expected.encode_bytes() == signed.encode()
    assert bytes(expected.hash_tree_root()) == signed.hash_tree_root(preset)
    assert bytes(expected.message.aggregate.hash_tree_root()) == electra(preset).hash_tree_root(preset)
    assert AggregateAndProof.decode(DataVersion.FULU, message.encode(), preset) == message
    table = tables.signed_aggregate_schema(DataVersion.FULU, preset)
    assert table.encode(table.read(signed.encode())) == signed.encode()
    assert table.root(table.read(signed.encode())) == signed.hash_tree_root(preset)


@every_preset
def test_earlier_aggregates_are_the_same_in_every_preset(preset):
    spec = specification(preset, "deneb")
    attestation = Attestation(one_bit(7, 300), DATA, SIGNATURE)
    expected = spec.Attestation.decode_bytes(attestation.encode())
    assert bytes(expected.hash_tree_root()) == attestation.hash_tree_root(preset) == attestation.hash_tree_root()
    table = tables.attestation_schema(DataVersion.DENEB, preset)
    assert table.root(table.read(attestation.encode())) == attestation.hash_tree_root()


@every_preset
def test_contributions_have_the_specifications_roots_whatever_their_bits_are_padded_to(preset):
    spec = specification(preset)
    size = preset.subcommittee_size // 8
    bits = DICE.randbytes(size)
    made = SyncCommitteeContribution(4, DICE.randbytes(32), 3, bits.ljust(16, b"\0"), SIGNATURE)
    signed = SignedContributionAndProof(ContributionAndProof(8, made, SIGNATURE), SIGNATURE)
    table = tables.signed_contribution_schema(preset)
    contribution = tables.contribution_schema(preset).record(4, made.beacon_block_root, 3, bits, SIGNATURE)
    raw = table.encode((table.fields["message"].record(8, contribution, SIGNATURE), SIGNATURE))
    expected = spec.SignedContributionAndProof.decode_bytes(raw)
    assert expected.encode_bytes() == raw
    assert bytes(expected.hash_tree_root()) == signed.hash_tree_root()


@every_preset
@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_a_damaged_aggregate_is_refused_or_is_another_aggregate(preset, draw):
    raw = draw.draw(damaged(electra(preset).encode()))
    assert reencoded(lambda given: ElectraAttestation.decode(given, preset), raw) in (raw, REFUSED)


def test_an_aggregate_of_another_preset_is_refused():
    with pytest.raises(ProtocolError, match=r"^ElectraAttestation: first offset is 229, expected 236$"):
        ElectraAttestation.decode(electra(MINIMAL).encode(), MAINNET)
    with pytest.raises(ProtocolError, match=r"^ElectraAttestation: first offset is 236, expected 229$"):
        ElectraAttestation.decode(electra(MAINNET).encode(), MINIMAL)
    with pytest.raises(ProtocolError, match=r"aggregation_bits: 8193 items, expected at most 8192$"):
        ElectraAttestation.decode(electra(MINIMAL, bits=8193).encode(), MINIMAL)
    with pytest.raises(ValueError, match=r"^ElectraAttestation.committee_bits is 2 bytes long, expected 1 or 8$"):
        ElectraAttestation(one_bit(0, 3), DATA, SIGNATURE, bytes(2)).encode()


@every_preset
def test_who_contributes_is_the_specifications_choice(preset):
    rules, choose = Selection(preset), specification(preset).is_sync_committee_aggregator
    proofs = [Signature(DICE.randbytes(96)) for _ in range(60)]
    assert [rules.is_sync_committee_aggregator(proof) for proof in proofs] == [choose(proof) for proof in proofs]
    last = preset.sync_committee_size - 1
    assert [rules.subcommittee(place) for place in (0, last // 2, last)] == [0, 1, 3]
