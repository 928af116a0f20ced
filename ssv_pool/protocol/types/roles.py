"""The small enumerations of the wire (PROTOCOL 1.3, 1.4, 1.6, 1.7)."""

import enum


class RunnerRole(enum.IntEnum):
    """Which kind of runner a message is for; signed 32 bit in a message id."""

    COMMITTEE = 0
    """Attestations and sync committee messages of a whole committee."""
    AGGREGATOR = 1
    """Alan only."""
    PROPOSER = 2
    SYNC_COMMITTEE_CONTRIBUTION = 3
    """Alan only."""
    VALIDATOR_REGISTRATION = 4
    VOLUNTARY_EXIT = 5
    AGGREGATOR_COMMITTEE = 6
    """Boole only."""
    UNKNOWN = -1


class BeaconRole(enum.IntEnum):
    """A beacon chain duty of one validator; u64 in a duty."""

    ATTESTER = 0
    AGGREGATOR = 1
    PROPOSER = 2
    SYNC_COMMITTEE = 3
    SYNC_COMMITTEE_CONTRIBUTION = 4
    VALIDATOR_REGISTRATION = 5
    VOLUNTARY_EXIT = 6
    UNKNOWN = 2**64 - 1


class MsgType(enum.IntEnum):
    """What an SSVMessage carries; u64."""

    CONSENSUS = 0
    PARTIAL_SIGNATURE = 1
    DKG = 2


class QBFTMessageType(enum.IntEnum):
    """The four QBFT messages; u64."""

    PROPOSAL = 0
    PREPARE = 1
    COMMIT = 2
    ROUND_CHANGE = 3


class PartialSignatureType(enum.IntEnum):
    """What partial signatures are over; u64."""

    POST_CONSENSUS = 0
    RANDAO = 1
    SELECTION_PROOF = 2
    """Alan only."""
    CONTRIBUTION_PROOFS = 3
    """Alan only."""
    VALIDATOR_REGISTRATION = 4
    VOLUNTARY_EXIT = 5
    AGGREGATOR_COMMITTEE = 6
    """Boole only."""


COMMITTEE_ROLES = frozenset({RunnerRole.COMMITTEE, RunnerRole.AGGREGATOR_COMMITTEE})
"""Roles whose duty executor is a committee and not one validator."""
