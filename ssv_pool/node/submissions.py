"""Signed objects of the core as what a worker posts: encoded once, here, in the form that the Beacon API takes."""

from ssv_pool.messaging.commands import (
    AggregateSubmission,
    AttestationSubmission,
    BlockSubmission,
    ContributionSubmission,
    ExitSubmission,
    RegistrationSubmission,
    Submission,
    SyncMessageSubmission,
)
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import (
    SubmitAggregates,
    SubmitAttestations,
    SubmitBlock,
    SubmitContributions,
    SubmitEffect,
    SubmitExit,
    SubmitRegistration,
    SubmitSyncCommitteeMessages,
)


def submission_of(effect: SubmitEffect, chain: BeaconChain) -> Submission:
    """What a worker is told to post. A block with blobs takes milliseconds to encode."""
    key, slot, deadline = effect.key, effect.slot, effect.deadline
    fork = chain.fork_at(chain.epoch_of(slot)).name
    match effect:
        case SubmitAttestations(attestations=attestations):
            return AttestationSubmission(key, slot, fork, tuple(attestations), deadline)
        case SubmitSyncCommitteeMessages(messages=messages):
            return SyncMessageSubmission(key, slot, tuple(messages), deadline)
        case SubmitBlock(block=block, signature=signature):
            version = block.version
            signed = block.signed(signature)
            return BlockSubmission(key, slot, version.name.lower(), int(version), block.blinded, signed, deadline)
        case SubmitAggregates(version=version, aggregates=aggregates):
            encoded = tuple(item.encode() for item in aggregates)
            return AggregateSubmission(key, slot, fork, version, encoded, deadline)
        case SubmitContributions(contributions=contributions):
            return ContributionSubmission(key, slot, tuple(item.encode() for item in contributions), deadline)
        case SubmitRegistration(registration=registration):
            return RegistrationSubmission(key, slot, registration.encode(), deadline)
        case SubmitExit(exit=exit_):
            return ExitSubmission(key, slot, exit_.encode(), deadline)
