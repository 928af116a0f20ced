"""Signed objects in the form that the Beacon API takes."""

import pytest
from committee_network import chain, root
from executor_network import empty_block

from ssv_pool.messaging.commands import (
    SUBMISSIONS,
    AggregateSubmission,
    AttestationSubmission,
    BlockSubmission,
    ContributionSubmission,
    ExitSubmission,
    RegistrationSubmission,
    SyncMessageSubmission,
)
from ssv_pool.node.submissions import submission_of
from ssv_pool.protocol.events import (
    SignedSyncCommitteeMessage,
    SubmitAggregates,
    SubmitAttestations,
    SubmitBlock,
    SubmitContributions,
    SubmitExit,
    SubmitRegistration,
    SubmitSyncCommitteeMessages,
)
from ssv_pool.protocol.types.attestations import (
    AggregateAndProof,
    Attestation,
    ElectraAttestation,
    SignedAggregateAndProof,
)
from ssv_pool.protocol.types.beacon import AttestationData, Checkpoint
from ssv_pool.protocol.types.blocks import blinded_of, decode_block
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.operations import (
    SignedValidatorRegistration,
    SignedVoluntaryExit,
    ValidatorRegistration,
    VoluntaryExit,
)
from ssv_pool.protocol.types.versions import DataVersion

CHAIN = chain("electra")
SIGNATURE = bytes([7]) * 96
CHECKPOINT = Checkpoint(1, root("checkpoint"))
DATA = AttestationData(5, 0, root("head"), CHECKPOINT, CHECKPOINT)


def test_attestations_and_sync_messages_stay_as_they_are():
    message = SignedSyncCommitteeMessage(3, root("head"), SIGNATURE)
    assert submission_of(SubmitAttestations(5, (), 9.0, "k"), CHAIN) == AttestationSubmission(
        "k", 5, "electra", (), 9.0
    )
    assert submission_of(SubmitSyncCommitteeMessages(5, (message,), 9.0, "k"), CHAIN) == SyncMessageSubmission(
        "k", 5, (message,), 9.0
    )


@pytest.mark.parametrize("version", [DataVersion.CAPELLA, DataVersion.DENEB, DataVersion.ELECTRA, DataVersion.FULU])
@pytest.mark.parametrize("blinded", [False, True])
def test_a_block_is_signed_in_the_form_of_its_own_fork(version, blinded):
    full = empty_block(5, version)
    block = blinded_of(full) if blinded else full
    found = submission_of(SubmitBlock(5, block, SIGNATURE, 9.0, "k"), CHAIN)
    assert found == BlockSubmission("k", 5, version.name.lower(), int(version), blinded, block.signed(SIGNATURE), 9.0)
    assert SUBMISSIONS.decode(SUBMISSIONS.encode(found)) == found
    # The block itself stands unchanged behind its signature.
    unsigned = block.raw if not block.has_contents else decode_block(version, full.raw).raw
    start = found.signed_block.index(SIGNATURE) + 96
    length = len(unsigned) if not block.has_contents else len(unsigned) - 12
    assert found.signed_block[start : start + length] == unsigned[-length:]


@pytest.mark.parametrize(
    ("version", "attestation"),
    [
        (DataVersion.DENEB, Attestation(b"\x03", DATA, SIGNATURE)),
        (DataVersion.ELECTRA, ElectraAttestation(b"\x03", DATA, SIGNATURE, bytes(8))),
    ],
)
def test_aggregates_are_encoded_each(version, attestation):
    signed = SignedAggregateAndProof(AggregateAndProof(3, attestation, SIGNATURE), SIGNATURE)
    found = submission_of(SubmitAggregates(5, int(version), (signed, signed), 9.0, "k"), CHAIN)
    assert found == AggregateSubmission("k", 5, "electra", int(version), (signed.encode(),) * 2, 9.0)


def test_contributions_registrations_and_exits_are_encoded():
    contribution = SyncCommitteeContribution(5, root("head"), 1, bytes(16), SIGNATURE)
    signed = SignedContributionAndProof(ContributionAndProof(3, contribution, SIGNATURE), SIGNATURE)
    registration = SignedValidatorRegistration(ValidatorRegistration(bytes(20), 36, 7, bytes(48)), SIGNATURE)
    leaving = SignedVoluntaryExit(VoluntaryExit(1, 3), SIGNATURE)
    found = [
        submission_of(effect, CHAIN)
        for effect in (
            SubmitContributions(5, (signed,), 9.0, "k"),
            SubmitRegistration(5, registration, 9.0, "k"),
            SubmitExit(5, leaving, 9.0, "k"),
        )
    ]
    assert found == [
        ContributionSubmission("k", 5, (signed.encode(),), 9.0),
        RegistrationSubmission("k", 5, registration.encode(), 9.0),
        ExitSubmission("k", 5, leaving.encode(), 9.0),
    ]
    assert len(leaving.encode()) == 112
