"""Every message between workers and node, typed. Each has a key that names it, so that a repeat is a no-op.

Worker → node, on the command stream: StartCommitteeDuty, RegistryChanged. Node → worker, as task payloads:
AttestationSubmission, JournalEntry. All times are seconds since the UNIX epoch.
"""

from dataclasses import dataclass

from ssv_pool.messaging.codec import Codec
from ssv_pool.protocol.events import DutyRecord, SignedAttestation
from ssv_pool.protocol.types.beacon import BeaconVote
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, Slot


@dataclass(frozen=True, slots=True)
class StartCommitteeDuty:
    """A committee's duty is due now."""

    key: str
    """``committee:<slot>:<committee id in hex>``."""
    committee_id: CommitteeId
    """The committee, 32 bytes."""
    slot: Slot
    """The slot to attest."""
    validator_duties: tuple[ValidatorDuty, ...]
    """The duties of the committee's validators in that slot, by ascending validator index."""
    beacon_vote: BeaconVote
    """Head, source and target as the own beacon node sees them."""
    due: float
    """The instant it was due."""
    begun: float
    """When the worker began to work on it."""
    deadline: float
    """From then on its result is worth nothing."""


@dataclass(frozen=True, slots=True)
class RegistryChanged:
    """Operators, validators or their metadata changed in the store: read them anew."""

    version: int
    """The store's version counter after the change."""

    @property
    def key(self) -> str:
        """Names the change."""
        return f"registry:{self.version}"

    @property
    def deadline(self) -> None:
        """It is never too late to read the store again."""
        return None


Command = StartCommitteeDuty | RegistryChanged
"""Everything a worker tells the node."""

COMMANDS = Codec(StartCommitteeDuty, RegistryChanged)
"""The codec of the command stream."""


@dataclass(frozen=True, slots=True)
class AttestationSubmission:
    """Post these attestations to the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The slot attested."""
    fork: str
    """Name of the beacon chain's fork at that slot, in lower case."""
    attestations: tuple[SignedAttestation, ...]
    """The attestations with their whole signatures."""
    deadline: float
    """When to give up."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A duty ended: keep its story."""

    record: DutyRecord
    """The story, as the core tells it."""

    @property
    def key(self) -> str:
        """The duty's key."""
        return self.record.key


SUBMISSIONS = Codec(AttestationSubmission)
"""The codec of the payload of the task ``submit_attestations``."""

JOURNAL = Codec(JournalEntry)
"""The codec of the payload of the task ``record_duty``."""


def committee_duty_key(slot: Slot, committee_id: CommitteeId) -> str:
    """The key of a committee's duty in a slot."""
    return f"committee:{slot}:{committee_id.hex()}"
