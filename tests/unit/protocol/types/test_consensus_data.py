"""Validation of consensus data: each rule, in the order of the checks."""

from dataclasses import replace

import pytest

from ssv_pool.protocol.types import AttestationData, BeaconRole, Checkpoint, ErrorCode, ProtocolError, ValidatorDuty
from ssv_pool.protocol.types.aggregator_committee import (
    AggregatorCommitteeConsensusData,
    AggregatorCommitteeDuty,
    AssignedAggregator,
)
from ssv_pool.protocol.types.attestations import AggregateAndProof, Attestation, ElectraAttestation, one_bit
from ssv_pool.protocol.types.consensus_data import (
    DataVersion,
    ProposerConsensusData,
    aggregate_of,
    block_of,
    contributions_of,
)
from ssv_pool.protocol.types.contributions import (
    Contribution,
    ContributionAndProof,
    Contributions,
    SyncCommitteeContribution,
)

CHECKPOINT = Checkpoint(1, bytes(32))
ATTESTATION = Attestation(one_bit(0, 8), AttestationData(5, 0, bytes(32), CHECKPOINT, CHECKPOINT), bytes(96))
ELECTRA = ElectraAttestation(ATTESTATION.aggregation_bits, ATTESTATION.data, bytes(96), bytes([2]) + bytes(7))
PROOF = AggregateAndProof(7, ATTESTATION, b"\1" * 96)
ELECTRA_PROOF = replace(PROOF, aggregate=ELECTRA)
CONTRIBUTION = SyncCommitteeContribution(5, bytes(32), 1, bytes(16), bytes(96))
CONTRIBUTIONS = Contributions((Contribution(b"\2" * 96, CONTRIBUTION),))


def duty(type_, index=7, slot=5):
    return ValidatorDuty(type_, b"\3" * 48, slot, index, 1, 8, 1, 0)


def data(type_, version, raw):
    return ProposerConsensusData(duty(type_), version, raw)


def code_of(check, *arguments):
    with pytest.raises(ProtocolError) as raised:
        check(*arguments)
    return raised.value.outermost_code


@pytest.mark.parametrize("version", [DataVersion.PHASE0, DataVersion.ALTAIR, DataVersion.DENEB])
def test_alan_reads_aggregates_of_the_old_form_up_to_deneb(version):
    made = data(BeaconRole.AGGREGATOR, version, PROOF.encode())
    made.validate_alan()
    assert aggregate_of(made) == PROOF


@pytest.mark.parametrize("version", [DataVersion.ELECTRA, DataVersion.FULU])
def test_alan_reads_aggregates_of_the_new_form_from_electra_on(version):
    made = data(BeaconRole.AGGREGATOR, version, ELECTRA_PROOF.encode())
    made.validate_alan()
    assert aggregate_of(made) == ELECTRA_PROOF


def test_alan_reads_contributions_whatever_the_version():
    made = data(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 99, CONTRIBUTIONS.encode())
    made.validate_alan()
    assert contributions_of(made) == CONTRIBUTIONS


ALAN_REFUSES = [
    (BeaconRole.AGGREGATOR, DataVersion.DENEB, ELECTRA_PROOF.encode(), ErrorCode.UNMARSHAL_SSZ),
    (BeaconRole.AGGREGATOR, DataVersion.ELECTRA, PROOF.encode(), ErrorCode.UNMARSHAL_SSZ),
    (BeaconRole.AGGREGATOR, 0, PROOF.encode(), None),
    (BeaconRole.AGGREGATOR, 8, PROOF.encode(), None),
    (BeaconRole.PROPOSER, DataVersion.FULU, b"", ErrorCode.UNMARSHAL_SSZ),
    (BeaconRole.PROPOSER, DataVersion.BELLATRIX, b"", ErrorCode.UNKNOWN_BLOCK_VERSION),
    (BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 1, b"\1", ErrorCode.UNMARSHAL_SSZ),
    (BeaconRole.VALIDATOR_REGISTRATION, 1, b"", ErrorCode.VALIDATOR_REGISTRATION_NO_CONSENSUS_DATA),
    (BeaconRole.VOLUNTARY_EXIT, 1, b"", ErrorCode.VALIDATOR_EXIT_NO_CONSENSUS_DATA),
    (BeaconRole.ATTESTER, 1, b"", ErrorCode.UNKNOWN_DUTY_ROLE_DATA),
    (BeaconRole.SYNC_COMMITTEE, 1, b"", ErrorCode.UNKNOWN_DUTY_ROLE_DATA),
    (100, 1, b"", ErrorCode.UNKNOWN_DUTY_ROLE_DATA),
]


@pytest.mark.parametrize(("type_", "version", "raw", "code"), ALAN_REFUSES)
def test_alan_refuses(type_, version, raw, code):
    assert code_of(data(type_, version, raw).validate_alan) == code


@pytest.mark.parametrize("type_", [*(role for role in BeaconRole if role != BeaconRole.PROPOSER), 100])
def test_boole_has_consensus_data_for_proposals_only(type_):
    assert code_of(data(type_, DataVersion.DENEB, PROOF.encode()).validate_boole) == ErrorCode.UNKNOWN_DUTY_ROLE_DATA


@pytest.mark.parametrize(
    ("version", "code"),
    [(DataVersion.CAPELLA, ErrorCode.UNMARSHAL_SSZ), (DataVersion.ALTAIR, ErrorCode.UNKNOWN_BLOCK_VERSION)],
)
def test_boole_refuses_what_is_no_block(version, code):
    made = data(BeaconRole.PROPOSER, version, b"\0" * 90)
    assert code_of(made.validate_boole) == code_of(block_of, made) == code


def test_contributions_are_at_most_thirteen():
    item = CONTRIBUTIONS.items[0]
    assert Contributions.decode(Contributions((item,) * 13).encode()) == Contributions((item,) * 13)
    assert code_of(Contributions.decode, Contributions((item,) * 14).encode()) == ErrorCode.UNMARSHAL_SSZ


AGGREGATOR = AssignedAggregator(7, b"\1" * 96, 3)
CONTRIBUTOR = AssignedAggregator(8, b"\2" * 96, 1)
GOOD = AggregatorCommitteeConsensusData(
    DataVersion.DENEB, (AGGREGATOR,), (3,), (ATTESTATION.encode(),), (CONTRIBUTOR,), (CONTRIBUTION,)
)
OTHER = replace(AGGREGATOR, committee_index=4)


def test_aggregator_committee_data_give_what_each_validator_signs():
    made = replace(GOOD, aggregators=(AGGREGATOR, replace(AGGREGATOR, validator_index=9)))
    made.validate()
    assert made.aggregate_and_proofs() == (PROOF, replace(PROOF, aggregator_index=9))
    assert made.contribution_and_proofs() == (ContributionAndProof(8, CONTRIBUTION, b"\2" * 96),)


@pytest.mark.parametrize(
    "made",
    [
        replace(GOOD, contributors=(), sync_committee_contributions=()),
        replace(GOOD, aggregators=(), aggregator_committee_indexes=(), aggregated_attestations=()),
        replace(GOOD, aggregators=(AGGREGATOR, AGGREGATOR)),
        replace(GOOD, version=0),
        replace(GOOD, version=99, aggregated_attestations=(ELECTRA.encode(),)),
    ],
    ids=["aggregators only", "contributors only", "one twice", "unknown version", "version to come"],
)
def test_aggregator_committee_data_that_are_good(made):
    made.validate()


AGGREGATOR_COMMITTEE_REFUSES = {
    "nobody": (AggregatorCommitteeConsensusData(5, (), (3,)), ErrorCode.AGG_COMM_CONSENSUS_DATA_NO_VALIDATOR),
    "an index too many": (
        replace(GOOD, aggregator_committee_indexes=(3, 3)),
        ErrorCode.AGG_COMM_AGG_COMM_IDX_CNT_MISMATCH,
    ),
    "an index twice": (
        replace(GOOD, aggregator_committee_indexes=(3, 3), aggregated_attestations=(b"", b""), aggregators=(OTHER,)),
        ErrorCode.AGG_COMM_DUPLICATED_COMM_IDX,
    ),
    "an aggregator without aggregate": (
        replace(GOOD, aggregators=(OTHER,), aggregated_attestations=(b"",)),
        ErrorCode.AGG_COMM_COMM_IDX_MISMATCH,
    ),
    "an aggregate without aggregator": (
        replace(GOOD, aggregator_committee_indexes=(3, 4), aggregated_attestations=(b"", b"")),
        ErrorCode.AGG_COMM_UNUSED_COMM_IDX,
    ),
    "no attestation": (
        replace(GOOD, aggregated_attestations=(b"",), sync_committee_contributions=(CONTRIBUTION, CONTRIBUTION)),
        ErrorCode.AGG_COMM_ATTESTATION_DECODING,
    ),
    "an attestation of the other form": (replace(GOOD, version=6), ErrorCode.AGG_COMM_ATTESTATION_DECODING),
    "a subcommittee twice": (
        replace(GOOD, sync_committee_contributions=(CONTRIBUTION, CONTRIBUTION), contributors=(OTHER,)),
        ErrorCode.AGG_COMM_SCC_SUBNET_DUPLICATE,
    ),
    "a contributor without contribution": (
        replace(GOOD, contributors=(OTHER,)),
        ErrorCode.AGG_COMM_SUBNET_NOT_IN_SC_SUBNETS,
    ),
    "a contribution without contributor": (replace(GOOD, contributors=()), ErrorCode.AGG_COMM_UNUSED_SUBNET),
}


@pytest.mark.parametrize("case", AGGREGATOR_COMMITTEE_REFUSES)
def test_aggregator_committee_data_that_are_refused(case):
    made, code = AGGREGATOR_COMMITTEE_REFUSES[case]
    assert code_of(made.validate) == code


def test_what_cannot_be_signed_for():
    assert code_of(replace(GOOD, aggregators=(OTHER,)).aggregate_and_proofs) == ErrorCode.AGG_COMM_COMM_IDX_MISMATCH
    assert code_of(replace(GOOD, version=0).aggregate_and_proofs) == ErrorCode.UNKNOWN_BLOCK_VERSION
    assert code_of(replace(GOOD, version=7).aggregate_and_proofs) == ErrorCode.UNMARSHAL_SSZ
    missing = replace(GOOD, contributors=(OTHER,))
    assert code_of(missing.contribution_and_proofs) == ErrorCode.AGG_COMM_SUBNET_NOT_IN_SC_SUBNETS


AGGREGATION = duty(BeaconRole.AGGREGATOR)


@pytest.mark.parametrize(
    ("duties", "problem"),
    [
        ((AGGREGATION, duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 8)), None),
        ((), None),
        ((duty(BeaconRole.AGGREGATOR, slot=6),), "duty of validator 7 is of slot 6, expected 5"),
        (
            (AGGREGATION, duty(BeaconRole.ATTESTER)),
            "duty of validator 7 has type 0, expected aggregator or contribution",
        ),
        ((duty(BeaconRole.AGGREGATOR, 9),), "duty of validator 9 is not this committee's"),
    ],
)
def test_an_aggregator_committees_duty(duties, problem):
    made = AggregatorCommitteeDuty(5, duties)
    if problem is None:
        made.validate({7, 8})
        return
    with pytest.raises(ProtocolError, match=f"^{problem}$") as raised:
        made.validate({7, 8})
    assert raised.value.code == ErrorCode.INVALID_AGGREGATOR_COMMITTEE_DUTY
