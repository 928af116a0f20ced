"""The containers of the duties beside attesting against remerkleable."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remerkleable.basic import uint64
from remerkleable.bitfields import Bitlist, Bitvector
from remerkleable.byte_arrays import ByteList, ByteVector
from remerkleable.complex import Container, List
from ssz_oracle import REFUSED, bitlists, damaged, oracle_value, reencoded, sized, tuples, u64

from ssv_pool.protocol.types import AttestationData, Checkpoint, ValidatorDuty
from ssv_pool.protocol.types import aggregator_committee as boole
from ssv_pool.protocol.types import attestations as att
from ssv_pool.protocol.types import contributions as sync
from ssv_pool.protocol.types import operations as ops
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData
from ssv_pool.protocol.types.versions import DataVersion

Bytes20, Bytes32, Bytes48, Bytes96 = ByteVector[20], ByteVector[32], ByteVector[48], ByteVector[96]


class OCheckpoint(Container):
    epoch: uint64
    root: Bytes32


class OAttestationData(Container):
    slot: uint64
    index: uint64
    beacon_block_root: Bytes32
    source: OCheckpoint
    target: OCheckpoint


class OAttestation(Container):
    aggregation_bits: Bitlist[2048]
    data: OAttestationData
    signature: Bytes96


class OElectraAttestation(Container):
    aggregation_bits: Bitlist[131_072]
    data: OAttestationData
    signature: Bytes96
    committee_bits: Bitvector[64]


class OSingleAttestation(Container):
    committee_index: uint64
    attester_index: uint64
    data: OAttestationData
    signature: Bytes96


class OAggregateAndProof(Container):
    aggregator_index: uint64
    aggregate: OAttestation
    selection_proof: Bytes96


class OElectraAggregateAndProof(Container):
    aggregator_index: uint64
    aggregate: OElectraAttestation
    selection_proof: Bytes96


class OSignedAggregateAndProof(Container):
    message: OElectraAggregateAndProof
    signature: Bytes96


class OContribution(Container):
    slot: uint64
    beacon_block_root: Bytes32
    subcommittee_index: uint64
    aggregation_bits: Bitvector[128]
    signature: Bytes96


class OAlanContribution(Container):
    selection_proof: Bytes96
    contribution: OContribution


class OContributionAndProof(Container):
    aggregator_index: uint64
    contribution: OContribution
    selection_proof: Bytes96


class OSignedContributionAndProof(Container):
    message: OContributionAndProof
    signature: Bytes96


class OSelectionData(Container):
    slot: uint64
    subcommittee_index: uint64


class OSyncCommitteeMessage(Container):
    slot: uint64
    beacon_block_root: Bytes32
    validator_index: uint64
    signature: Bytes96


class ORegistration(Container):
    fee_recipient: Bytes20
    gas_limit: uint64
    timestamp: uint64
    pubkey: Bytes48


class OSignedRegistration(Container):
    message: ORegistration
    signature: Bytes96


class OExit(Container):
    epoch: uint64
    validator_index: uint64


class OSignedExit(Container):
    message: OExit
    signature: Bytes96


class ODuty(Container):
    type: uint64
    pubkey: Bytes48
    slot: uint64
    validator_index: uint64
    committee_index: uint64
    committee_length: uint64
    committees_at_slot: uint64
    validator_committee_index: uint64
    validator_sync_committee_indices: List[uint64, 13]


class OProposerConsensusData(Container):
    duty: ODuty
    version: uint64
    data_ssz: ByteList[8_388_608]


class OAssigned(Container):
    validator_index: uint64
    selection_proof: Bytes96
    committee_index: uint64


class OAggregatorCommitteeData(Container):
    version: uint64
    aggregators: List[OAssigned, 3000]
    aggregator_committee_indexes: List[uint64, 64]
    aggregated_attestations: List[ByteList[131_308], 64]
    contributors: List[OAssigned, 2048]
    sync_committee_contributions: List[OContribution, 4]


some_bytes = st.binary(max_size=200)
checkpoints = st.builds(Checkpoint, u64, sized(32))
data = st.builds(AttestationData, u64, u64, sized(32), checkpoints, checkpoints)
phase0 = st.builds(att.Attestation, bitlists(300), data, sized(96))
electra = st.builds(att.ElectraAttestation, bitlists(3000), data, sized(96), sized(8))
phase0_proofs = st.builds(att.AggregateAndProof, u64, phase0, sized(96))
electra_proofs = st.builds(att.AggregateAndProof, u64, electra, sized(96))
contributions = st.builds(sync.SyncCommitteeContribution, u64, sized(32), u64, sized(16), sized(96))
alan_contributions = st.builds(sync.Contribution, sized(96), contributions)
contribution_proofs = st.builds(sync.ContributionAndProof, u64, contributions, sized(96))
registrations = st.builds(ops.ValidatorRegistration, sized(20), u64, u64, sized(48))
exits = st.builds(ops.VoluntaryExit, u64, u64)
duties = st.builds(ValidatorDuty, u64, sized(48), u64, u64, u64, u64, u64, u64, tuples(u64, 13))
assigned = st.builds(boole.AssignedAggregator, u64, sized(96), u64)
committee_data = st.builds(
    boole.AggregatorCommitteeConsensusData,
    u64,
    tuples(assigned, 3),
    tuples(u64, 64),
    tuples(some_bytes, 5),
    tuples(assigned, 3),
    tuples(contributions, 4),
)
proposer_data = st.builds(ProposerConsensusData, duties, u64, some_bytes)

READ_AND_WRITTEN = {
    "Attestation": (phase0, OAttestation, att.Attestation.decode),
    "ElectraAttestation": (electra, OElectraAttestation, att.ElectraAttestation.decode),
    "AggregateAndProof": (
        phase0_proofs,
        OAggregateAndProof,
        lambda raw: att.AggregateAndProof.decode(DataVersion.DENEB, raw),
    ),
    "electra AggregateAndProof": (
        electra_proofs,
        OElectraAggregateAndProof,
        lambda raw: att.AggregateAndProof.decode(DataVersion.ELECTRA, raw),
    ),
    "SyncCommitteeContribution": (contributions, OContribution, sync.SyncCommitteeContribution.decode),
    "Contribution": (alan_contributions, OAlanContribution, sync.Contribution.decode),
    "ProposerConsensusData": (proposer_data, OProposerConsensusData, ProposerConsensusData.decode),
    "AssignedAggregator": (assigned, OAssigned, boole.AssignedAggregator.decode),
    "AggregatorCommitteeConsensusData": (
        committee_data,
        OAggregatorCommitteeData,
        boole.AggregatorCommitteeConsensusData.decode,
    ),
}

WRITTEN = {
    "SingleAttestation": (st.builds(att.SingleAttestation, u64, u64, data, sized(96)), OSingleAttestation),
    "SignedAggregateAndProof": (
        st.builds(att.SignedAggregateAndProof, electra_proofs, sized(96)),
        OSignedAggregateAndProof,
    ),
    "ContributionAndProof": (contribution_proofs, OContributionAndProof),
    "SignedContributionAndProof": (
        st.builds(sync.SignedContributionAndProof, contribution_proofs, sized(96)),
        OSignedContributionAndProof,
    ),
    "SyncAggregatorSelectionData": (st.builds(sync.SyncAggregatorSelectionData, u64, u64), OSelectionData),
    "SyncCommitteeMessage": (
        st.builds(sync.SyncCommitteeMessage, u64, sized(32), u64, sized(96)),
        OSyncCommitteeMessage,
    ),
    "ValidatorRegistration": (registrations, ORegistration),
    "SignedValidatorRegistration": (
        st.builds(ops.SignedValidatorRegistration, registrations, sized(96)),
        OSignedRegistration,
    ),
    "VoluntaryExit": (exits, OExit),
    "SignedVoluntaryExit": (st.builds(ops.SignedVoluntaryExit, exits, sized(96)), OSignedExit),
}


@pytest.mark.parametrize("name", [*READ_AND_WRITTEN, *WRITTEN])
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_bytes_and_root_equal_the_oracles(name, draw):
    strategy, oracle, *_ = (READ_AND_WRITTEN | WRITTEN)[name]
    value = draw.draw(strategy)
    expected = oracle_value(value, oracle)
    assert value.encode() == expected.encode_bytes()
    assert value.hash_tree_root() == bytes(expected.hash_tree_root())


@pytest.mark.parametrize("name", READ_AND_WRITTEN)
@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_decoding_undoes_encoding_and_accepts_nothing_but_encodings(name, draw):
    strategy, _, decode = READ_AND_WRITTEN[name]
    value = draw.draw(strategy)
    assert decode(value.encode()) == value
    raw = draw.draw(damaged(value.encode()))
    assert reencoded(decode, raw) in (raw, REFUSED)
    raw = draw.draw(some_bytes)
    assert reencoded(decode, raw) in (raw, REFUSED)


@settings(max_examples=60, deadline=None)
@given(items=tuples(alan_contributions, 13), draw=st.data())
def test_alan_writes_offsets_before_its_contributions_yet_their_root_is_a_lists(items, draw):
    value = sync.Contributions(items)
    offsets = b"".join((4 * len(items) + 256 * index).to_bytes(4, "little") for index in range(len(items)))
    assert value.encode() == offsets + b"".join(item.encode() for item in items)
    assert sync.Contributions.decode(value.encode()) == value
    expected = List[OAlanContribution, 13]([oracle_value(item, OAlanContribution) for item in items])
    assert value.hash_tree_root() == bytes(expected.hash_tree_root())
    raw = draw.draw(damaged(value.encode()))
    assert reencoded(sync.Contributions.decode, raw) in (raw, REFUSED)


@given(st.integers(1, 2048).flatmap(lambda length: st.tuples(st.integers(0, length - 1), st.just(length))))
def test_a_bit_list_with_one_bit(place_and_length):
    position, length = place_and_length
    expected = Bitlist[2048]([index == position for index in range(length)])
    assert att.one_bit(position, length) == expected.encode_bytes()


@pytest.mark.parametrize("position", [-1, 4])
def test_no_bit_outside_its_list(position):
    with pytest.raises(ValueError, match=rf"^bit {position} of a bit list of 4 bits, expected a lower one$"):
        att.one_bit(position, 4)
