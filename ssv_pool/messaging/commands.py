"""Every message between workers and node, typed. Each has a key that names it, so that a repeat is a no-op.

Worker → node, on the command stream: what COMMANDS lists. Node → worker, as task payloads: what SUBMISSIONS, REQUESTS
and JOURNAL list. All times are seconds since the UNIX epoch.
"""

from dataclasses import dataclass

from ssv_pool.messaging.codec import Codec
from ssv_pool.protocol.events import AskKind, DutyRecord, SignedAttestation, SignedSyncCommitteeMessage
from ssv_pool.protocol.types.beacon import BeaconVote
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, PublicKey, Slot
from ssv_pool.protocol.types.roles import BeaconRole

MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
"""Longest object of a beacon node that is passed on: gossip takes blocks of 10 MiB, and 21 blobs with their proofs have
2.9 MB more."""

MAX_SUBMISSION_BYTES = 2 * MAX_PAYLOAD_BYTES + 64 * 1024
"""Longest submission that is decoded: a signed block in hex, and what names it."""


@dataclass(frozen=True, slots=True)
class StartCommitteeDuty:
    """A committee's attestations and sync committee messages of a slot are due now."""

    key: str
    """See `committee_duty_key`."""
    committee_id: CommitteeId
    """The committee, 32 bytes."""
    slot: Slot
    """The slot to attest."""
    validator_duties: tuple[ValidatorDuty, ...]
    """The duties of the committee's validators in that slot: attesters by ascending validator index, then members of
    the sync committee by ascending validator index. Either kind may be missing."""
    beacon_vote: BeaconVote
    """Head, source and target as the own beacon node sees them."""
    due: float
    """The instant it was due."""
    begun: float
    """When the worker began to work on it."""
    deadline: float
    """From then on its result is worth nothing."""


@dataclass(frozen=True, slots=True)
class BeginValidatorDuty:
    """One validator's duty is due: a block, a registration, an exit; in Alan an aggregate or contributions too."""

    key: str
    """See `validator_duty_key`."""
    committee_id: CommitteeId
    """The validator's committee, 32 bytes."""
    duty: ValidatorDuty
    """The duty."""
    due: float
    """The instant it was due."""
    begun: float
    """When the worker began to work on it."""
    deadline: float
    """From then on its result is worth nothing."""


@dataclass(frozen=True, slots=True)
class BeginAggregatorCommitteeDuty:
    """A committee's aggregations of one slot are due (Boole)."""

    key: str
    """See `aggregator_committee_key`."""
    committee_id: CommitteeId
    """The committee, 32 bytes."""
    slot: Slot
    """The slot whose attestations and sync committee messages are aggregated."""
    validator_duties: tuple[ValidatorDuty, ...]
    """AGGREGATOR duties by ascending validator index, then SYNC_COMMITTEE_CONTRIBUTION duties likewise."""
    due: float
    """The instant it was due."""
    begun: float
    """When the worker began to work on it."""
    deadline: float
    """From then on its result is worth nothing."""


@dataclass(frozen=True, slots=True)
class BeaconAnswer:
    """What a beacon node answered to a BeaconRequest."""

    key: str
    """The request's key."""
    committee_id: CommitteeId
    """As in the request."""
    public_key: bytes
    """As in the request."""
    request_id: str
    """As in the request."""
    payload: bytes
    """The object in SSZ (see ``AskKind``), at most MAX_PAYLOAD_BYTES; empty where there is none."""
    version: int
    """Its data version on the wire (5 deneb, 6 electra, 7 fulu; 0 where it has none)."""
    error: str
    """Why there is no object; empty on success."""
    deadline: float
    """As in the request."""


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


@dataclass(frozen=True, slots=True)
class DutiesPlanned:
    """The duties of an epoch were planned, or planned anew.

    The node reads from the store who proposes and who is in the sync committee.
    """

    epoch: Epoch
    """The epoch."""
    planned: float = 0.0
    """When it was planned; tells two plans of one epoch apart."""

    @property
    def key(self) -> str:
        """Names the plan."""
        return f"planned:{self.epoch}:{self.planned!r}"

    @property
    def deadline(self) -> None:
        """It is never too late to read the store again."""
        return None


StartCommand = StartCommitteeDuty | BeginValidatorDuty | BeginAggregatorCommitteeDuty
"""The commands that begin a duty."""

Command = StartCommand | BeaconAnswer | RegistryChanged | DutiesPlanned
"""Everything a worker tells the node."""

COMMANDS = Codec(
    StartCommitteeDuty,
    BeginValidatorDuty,
    BeginAggregatorCommitteeDuty,
    BeaconAnswer,
    RegistryChanged,
    DutiesPlanned,
)
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
class SyncMessageSubmission:
    """Post these sync committee messages to the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The slot voted in."""
    messages: tuple[SignedSyncCommitteeMessage, ...]
    """The messages with their whole signatures."""
    deadline: float
    """When to give up."""


@dataclass(frozen=True, slots=True)
class BlockSubmission:
    """Publish a signed block by the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The block's slot."""
    fork: str
    """Name of the block's fork, in lower case."""
    version: int
    """Its data version on the wire (4 capella, 5 deneb, 6 electra, 7 fulu)."""
    blinded: bool
    """Whether it is a blinded block."""
    signed_block: bytes
    """SSZ of what the API takes: SignedBlindedBeaconBlock; else SignedBlockContents from Deneb on, SignedBeaconBlock
    before."""
    deadline: float
    """When to give up."""


@dataclass(frozen=True, slots=True)
class StoredBlockSubmission:
    """A BlockSubmission whose block lies beside the task (`ssv_pool.messaging.payloads`)."""

    block: BlockSubmission
    """The submission with an empty ``signed_block``."""
    name: str
    """The payload's name."""

    @property
    def key(self) -> str:
        """The duty's key, as in the journal."""
        return self.block.key


@dataclass(frozen=True, slots=True)
class AggregateSubmission:
    """Post signed aggregates to the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The slot attested."""
    fork: str
    """Name of the aggregates' fork, in lower case."""
    version: int
    """Their data version on the wire."""
    aggregates: tuple[bytes, ...]
    """SignedAggregateAndProof in SSZ, each."""
    deadline: float
    """When to give up."""


@dataclass(frozen=True, slots=True)
class ContributionSubmission:
    """Post signed sync committee contributions to the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The slot voted in."""
    contributions: tuple[bytes, ...]
    """SignedContributionAndProof in SSZ, each, with 16 bytes of aggregation bits on every preset."""
    deadline: float
    """When to give up."""


@dataclass(frozen=True, slots=True)
class RegistrationSubmission:
    """Register a validator with the builders by the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The duty's slot."""
    registration: bytes
    """SignedValidatorRegistrationV1 in SSZ."""
    deadline: float
    """When to give up."""


@dataclass(frozen=True, slots=True)
class ExitSubmission:
    """Post a validator's voluntary exit to the beacon node."""

    key: str
    """The duty's key, as in the journal."""
    slot: Slot
    """The duty's slot."""
    exit: bytes
    """SignedVoluntaryExit in SSZ, 112 bytes."""
    deadline: float
    """When to give up."""


Submission = (
    AttestationSubmission
    | SyncMessageSubmission
    | BlockSubmission
    | AggregateSubmission
    | ContributionSubmission
    | RegistrationSubmission
    | ExitSubmission
)
"""Everything the node has posted to the beacon node."""


@dataclass(frozen=True, slots=True)
class BeaconRequest:
    """Ask the beacon node for an object and answer with a BeaconAnswer; begun at once, the node sends it when due."""

    key: str
    """Names the request, for the claim on it; see `request_key`."""
    committee_id: CommitteeId
    """The committee that asks, 32 bytes; to be repeated in the answer."""
    public_key: bytes
    """The validator that asks, 48 bytes; empty: the committee as a whole. To be repeated in the answer."""
    request_id: str
    """To be repeated in the answer."""
    kind: AskKind
    """What to fetch."""
    slot: Slot
    """For which slot."""
    arguments: tuple[tuple[str, str], ...]
    """Further arguments by name, see ``AskKind``."""
    deadline: float
    """From then on the answer is worth nothing; to be repeated in it."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A duty ended: keep its story."""

    record: DutyRecord
    """The story, as the core tells it."""

    @property
    def key(self) -> str:
        """The duty's key."""
        return self.record.key


@dataclass(frozen=True, slots=True)
class JournalEntries:
    """Several duties ended at about one time: keep their stories."""

    entries: tuple[JournalEntry, ...]
    """The stories."""

    @property
    def key(self) -> str:
        """Names the first duty."""
        return self.entries[0].key if self.entries else ""


SUBMISSIONS = Codec(
    AttestationSubmission,
    SyncMessageSubmission,
    BlockSubmission,
    StoredBlockSubmission,
    AggregateSubmission,
    ContributionSubmission,
    RegistrationSubmission,
    ExitSubmission,
    max_bytes=MAX_SUBMISSION_BYTES,
)
"""The codec of the payload of the task ``submit``; read it by ``tasks.read_submission``."""

REQUESTS = Codec(BeaconRequest)
"""The codec of the payload of the task ``ask_beacon``."""

JOURNAL = Codec(JournalEntry, JournalEntries)
"""The codec of the payload of the task ``record_duty``."""


def committee_duty_key(slot: Slot, committee_id: CommitteeId) -> str:
    """``committee:<slot>:<committee id in hex>``: a committee's duty in a slot."""
    return f"committee:{slot}:{committee_id.hex()}"


def aggregator_committee_key(slot: Slot, committee_id: CommitteeId) -> str:
    """``aggregator_committee:<slot>:<committee id in hex>``: a committee's aggregations in a slot (Boole)."""
    return f"aggregator_committee:{slot}:{committee_id.hex()}"


def validator_duty_key(role: BeaconRole, slot: Slot, public_key: PublicKey) -> str:
    """``<role>:<slot>:<public key in hex>``: a validator's duty in a slot.

    Args:
        role: PROPOSER, AGGREGATOR, SYNC_COMMITTEE_CONTRIBUTION, VALIDATOR_REGISTRATION or VOLUNTARY_EXIT; its name in
            lower case begins the key.
        slot: the duty's slot.
        public_key: the validator, 48 bytes.
    """
    return f"{role.name.lower()}:{slot}:{public_key.hex()}"


def request_key(request_id: str) -> str:
    """``ask:<request id>``: a request to the beacon node."""
    return f"ask:{request_id}"
