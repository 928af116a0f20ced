"""What goes into the core and what comes out of it.

Events carry everything the core needs to know; effects say everything that it wants done. Both are frozen values, so
that the node, the spec tests and the simulator can run the same core. All times are seconds since the UNIX epoch.
"""

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.attestations import SignedAggregateAndProof
from ssv_pool.protocol.types.beacon import AttestationData, BeaconVote
from ssv_pool.protocol.types.contributions import SignedContributionAndProof
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.operations import SignedValidatorRegistration, SignedVoluntaryExit
from ssv_pool.protocol.types.primitives import (
    CommitteeId,
    MessageId,
    OperatorId,
    Root,
    Round,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import RunnerRole

if TYPE_CHECKING:
    from ssv_pool.protocol.types.blocks import DecodedBlock  # large, and attesting does without it

NO_ROUND = Round(0)
"""Stands for "not in any round"."""

NO_SLOT = Slot(0)
"""Stands for "no slot known"."""


class TimerKind(enum.Enum):
    """What a timer is for."""

    ROUND = "round"
    """A QBFT round runs out."""
    DEADLINE = "deadline"
    """The duty's result is worth nothing any more."""
    CONTINUE = "continue"
    """Work was put off so that a message could leave first: come back at once."""


@dataclass(frozen=True, slots=True)
class TimerKey:
    """Names one timer of the core. Two timers with equal keys are the same timer; no timer is ever cancelled."""

    identifier: MessageId
    """Whose duty: domain, role and executor, 56 bytes."""
    slot: Slot
    """Slot of the duty."""
    kind: TimerKind
    """What it is for."""
    round: Round = NO_ROUND
    """The round that runs out; 0 for a deadline."""


class Outcome(enum.Enum):
    """How a duty ended."""

    COMPLETED = "completed"
    """Every signature of the duty was rebuilt and handed over."""
    FAILED = "failed"
    """At least one signature is missing; the reason says why."""
    EXPIRED = "expired"
    """The duty came after its deadline and was not begun."""


class Reason(enum.Enum):
    """Why a duty did not complete, came to nothing or came late: a fixed list."""

    NONE = "none"
    """It completed."""
    EXPIRED = "expired"
    """It reached the core after its deadline."""
    NOT_STARTED = "not_started"
    """It was planned, and the core never heard of it, or late: no worker, no broker or no node was there."""
    OVERLOADED = "overloaded"
    """Too many duties of the committee were running."""
    INVALID_DUTY = "invalid_duty"
    """The duty contradicts itself: another slot, an unknown kind of duty."""
    NO_SHARES = "no_shares"
    """This operator holds no share of any validator in the duty."""
    OWN_VALUE_REFUSED = "own_value_refused"
    """The value from the own beacon node fails the own value check, most often because it could be slashed."""
    NO_PROPOSAL = "no_proposal"
    """No leader's proposal was accepted in the last round."""
    NO_BEACON_DATA = "no_beacon_data"
    """The own beacon node gave nothing to sign or propose, or gave it late."""
    PROPOSAL_REFUSED = "proposal_refused"
    """A leader proposed a value that fails the own value check: another view of the chain, or it could be slashed."""
    NO_PREPARE_QUORUM = "no_prepare_quorum"
    """A proposal was accepted, and too few operators prepared it."""
    NO_COMMIT_QUORUM = "no_commit_quorum"
    """A value was prepared, and too few operators committed to it."""
    ROUNDS_EXHAUSTED = "rounds_exhausted"
    """Consensus came to its last round, or took more than one round and the duty came late."""
    DECIDED_VALUE_REFUSED = "decided_value_refused"
    """The committee decided a value that fails the own value check."""
    SIGNING_REFUSED = "signing_refused"
    """The slashing protection refused to sign what was decided."""
    NO_SIGNATURE_QUORUM = "no_signature_quorum"
    """Too few operators sent partial signatures."""
    INVALID_PARTIAL_SIGNATURES = "invalid_partial_signatures"
    """Partial signatures were dropped because they do not verify, and too few valid ones came."""
    SUBMISSION_REFUSED = "submission_refused"
    """The own beacon node did not take what the duty came to, or took it late; the detail has its words."""
    NOT_INCLUDED = "not_included"
    """It was handed over and did not come into the chain; the detail names the validators."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """When a duty reached one step."""

    name: str
    """``due``, ``begun``; where the role has them ``pre_consensus`` (the first quorum of signatures before consensus),
    ``asked`` (the beacon node, first time) and ``received`` (its last answer); ``consensus_started``, ``proposed``,
    ``prepared``, ``decided``, ``signed``, ``reconstructed``; workers add ``submitted``, ``refused`` (first time) and
    ``accepted``, and the same with ``sync_`` before it for a committee's sync committee messages."""
    time: float
    """Seconds since the UNIX epoch."""


@dataclass(frozen=True, slots=True)
class DutyRecord:
    """One duty's story, for the journal, the metrics and the report."""

    key: str
    """Names the duty: role, slot, and committee or validator."""
    role: RunnerRole
    """The runner that did it."""
    slot: Slot
    """Its slot."""
    committee_id: CommitteeId
    """The committee, 32 bytes."""
    outcome: Outcome
    """How it ended."""
    reason: Reason
    """Why it did not complete."""
    detail: str
    """One line for people, with the numbers; may be empty."""
    round: Round
    """The decided round; where none was decided the last round reached; 0 before consensus."""
    silent_operators: tuple[OperatorId, ...]
    """Members of whom no message of this duty had come when it ended, ascending."""
    validators: int
    """How many signatures the duty asked of this committee."""
    completed: int
    """How many of them were rebuilt."""
    steps: tuple[StepTime, ...]
    """The steps it reached, in the order they were reached."""


@dataclass(frozen=True, slots=True)
class SignedAttestation:
    """One validator's attestation with its whole signature, in the form every fork's submission can be made from."""

    validator_index: ValidatorIndex
    """The attester."""
    committee_index: int
    """The beacon committee it belongs to (``data.index`` is 0 from Electra on)."""
    committee_length: int
    """Number of validators in that beacon committee."""
    validator_committee_index: int
    """Position of the attester in it."""
    data: AttestationData
    """What was signed."""
    signature: Signature
    """The rebuilt and verified signature, 96 bytes."""


@dataclass(frozen=True, slots=True)
class StartDuty:
    """A committee's duty of one slot is due. A repeat is a no-op; one past its deadline is dropped."""

    duty: CommitteeDuty
    """The slot's duties of the committee's validators."""
    beacon_vote: BeaconVote
    """The own beacon node's attestation data of that slot: proposed, and what other proposals are checked against."""
    due: float
    """The instant it was due."""
    begun: float
    """When the work on it began."""
    deadline: float
    """When its result is worth nothing any more."""
    key: str = ""
    """The duty's key; empty: the core makes one from role, slot and committee."""


@dataclass(frozen=True, slots=True)
class StartValidatorDuty:
    """One validator's duty is due: a block, a registration, an exit; in Alan an aggregate or contributions."""

    duty: ValidatorDuty
    """The duty."""
    due: float
    """The instant it was due."""
    begun: float
    """When the work on it began."""
    deadline: float
    """When its result is worth nothing any more."""
    key: str = ""
    """The duty's key; empty: the core makes one from role, slot and validator."""


@dataclass(frozen=True, slots=True)
class StartAggregatorCommitteeDuty:
    """A committee's aggregations of one slot are due (Boole)."""

    duty: AggregatorCommitteeDuty
    """The slot's aggregator and contribution duties of the committee's validators."""
    due: float
    """The instant it was due."""
    begun: float
    """When the work on it began."""
    deadline: float
    """When its result is worth nothing any more."""
    key: str = ""
    """The duty's key; empty: the core makes one from role, slot and committee."""


StartEvent = StartDuty | StartValidatorDuty | StartAggregatorCommitteeDuty
"""Every event that begins a duty."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message of this committee came from the network."""

    message: SignedSSVMessage
    """The message, decoded."""
    verified: bool
    """Whether the signers' RSA signatures were checked already."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the core armed ran out. May come late, twice or never."""

    timer: TimerKey
    """The key it was armed with."""


@dataclass(frozen=True, slots=True)
class BeaconReply:
    """The answer to an ``AskBeacon`` effect; may come late, twice or never."""

    request_id: str
    """The id of the request it answers."""
    payload: bytes = b""
    """The object asked for, in SSZ (see ``AskBeacon.kind``); empty on failure."""
    version: int = 0
    """Its data version on the wire (5 deneb, 6 electra, 7 fulu; 0 unknown)."""
    error: str = ""
    """Why there is no object; empty on success."""


Event = StartEvent | MessageReceived | TimerFired | BeaconReply
"""Everything that can be handed to the core."""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Publish this message to the committee's topic. The core has processed it itself already."""

    message: SignedSSVMessage
    """The signed message."""


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Wake the core with ``TimerFired(timer)`` at a time; at once where it has passed."""

    timer: TimerKey
    """What to fire."""
    at: float
    """When, seconds since the UNIX epoch."""


class AskKind(enum.Enum):
    """What the core can ask the beacon node for."""

    BLOCK = "block"
    """A block to propose; arguments ``randao_reveal`` and ``graffiti``. Answer: the block, blinded block or, from Deneb
    on, block contents, and its version."""
    AGGREGATE = "aggregate"
    """The aggregate of a beacon committee, when it is due; arguments ``committee_index``, ``committee_length``,
    ``validator_index``, ``selection_proof``. Answer: AggregateAndProof and its version (Alan) or the attestation
    (Boole)."""
    CONTRIBUTIONS = "contributions"
    """Sync committee contributions, when they are due; arguments ``subcommittees`` and ``selection_proofs``, comma
    separated, one of the second for each of the first. Answer: ``Contributions`` in Alan's encoding."""


@dataclass(frozen=True, slots=True)
class AskBeacon:
    """Fetch an object from the beacon node and answer with ``BeaconReply``."""

    request_id: str
    """To be repeated in the answer."""
    kind: AskKind
    """What to fetch."""
    slot: Slot
    """For which slot."""
    arguments: tuple[tuple[str, str], ...] = ()
    """Further arguments by name."""
    deadline: float = 0.0
    """When the duty's result is worth nothing any more, seconds since the UNIX epoch."""


@dataclass(frozen=True, slots=True)
class SubmitAttestations:
    """Hand these attestations to the own beacon node, in one batch."""

    slot: Slot
    """The slot attested."""
    attestations: tuple[SignedAttestation, ...]
    """The attestations, in the duty's order."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class SignedSyncCommitteeMessage:
    """One validator's sync committee message with its whole signature."""

    validator_index: ValidatorIndex
    """The member of the sync committee."""
    block_root: Root
    """The head it votes for, 32 bytes: what was signed."""
    signature: Signature
    """The rebuilt and verified signature, 96 bytes."""


@dataclass(frozen=True, slots=True)
class SubmitSyncCommitteeMessages:
    """Hand these sync committee messages to the own beacon node, in one batch."""

    slot: Slot
    """The slot voted in."""
    messages: tuple[SignedSyncCommitteeMessage, ...]
    """The messages, in the duty's order."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class SubmitBlock:
    """Hand a signed block to the own beacon node."""

    slot: Slot
    """The duty's slot."""
    block: "DecodedBlock"
    """The decided block, blinded block or block contents."""
    signature: Signature
    """The proposer's signature, 96 bytes."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class SubmitRegistration:
    """Hand a signed validator registration (version V1) to the own beacon node."""

    slot: Slot
    """The duty's slot."""
    registration: SignedValidatorRegistration
    """The registration."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class SubmitExit:
    """Hand a signed voluntary exit to the own beacon node."""

    slot: Slot
    """The duty's slot."""
    exit: SignedVoluntaryExit
    """The exit."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class SubmitAggregates:
    """Hand signed aggregates to the own beacon node."""

    slot: Slot
    """The duty's slot."""
    version: int
    """Their data version on the wire: from 6 (electra) on in the Electra form."""
    aggregates: tuple[SignedAggregateAndProof, ...]
    """The aggregates."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class SubmitContributions:
    """Hand signed sync committee contributions to the own beacon node."""

    slot: Slot
    """The duty's slot."""
    contributions: tuple[SignedContributionAndProof, ...]
    """The contributions."""
    deadline: float
    """When to give up."""
    key: str
    """The duty's key."""


@dataclass(frozen=True, slots=True)
class DutyEnded:
    """A duty ended; comes exactly once for each that was begun or refused, never for a repeat."""

    record: DutyRecord
    """Its story."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message or an event was refused; for counters and debug logs. Nothing else needs doing."""

    rule: str
    """The error code's name, or ``plain`` where the protocol has no code for it, or a name of ours for local limits."""
    detail: str
    """One line for people."""
    slot: Slot = NO_SLOT
    """The slot concerned, 0 where it is not known."""
    operators: tuple[OperatorId, ...] = ()
    """Who signed the refused message; empty for events that are no messages."""


SubmitEffect = (
    SubmitAttestations
    | SubmitSyncCommitteeMessages
    | SubmitBlock
    | SubmitRegistration
    | SubmitExit
    | SubmitAggregates
    | SubmitContributions
)
"""Every effect that hands something signed to the beacon node."""

Effect = Broadcast | ArmTimer | AskBeacon | SubmitEffect | DutyEnded | Rejected
"""Everything the core can ask for."""
