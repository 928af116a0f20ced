"""The surroundings of the suite's runner tests: a beacon chain and node, keys, and who is an aggregator (PROTOCOL 6.5).

All of it is fixed. Beacon objects that are small are built here; blocks are taken from the proposals in the files.
"""

import functools
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssv_pool.crypto import bls, operator_keys
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import AskBeacon, AskKind, BeaconReply, Effect
from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types.attestations import AggregateAndProof, Attestation, ElectraAttestation
from ssv_pool.protocol.types.beacon import (
    DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
    AttestationData,
    BeaconVote,
    Checkpoint,
    compute_domain,
    signing_root,
)
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData, block_of
from ssv_pool.protocol.types.contributions import (
    Contribution,
    Contributions,
    SyncAggregatorSelectionData,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import (
    Epoch,
    PublicKey,
    Root,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.spectests import fixtures
from ssv_pool.spectests.model import SLOTS_PER_EPOCH, Json, MismatchError, SpecFork, SpecTest
from ssv_pool.spectests.sources import folders

GAS_LIMIT = 30_000_000
"""In validator registrations."""

VALIDATOR_INDEX = ValidatorIndex(1)
"""Index of the suite's main validator, and the aggregator in the fixed aggregates."""

VALIDATOR_SECRET = bytes.fromhex("3515c7d08e5affd729e9579f7588d30f2342ee6f6a9334acf006345262162c6f")
"""Its key, a test key that every file of the suite holds."""

DUTY_SLOT = Slot(12)
"""Slot of the fixed phase0 objects, and the slot of every value check."""

ELECTRA_SLOT = Slot(232_000 * SLOTS_PER_EPOCH + 12)
"""Slot of the fixed Electra objects."""

BLOCK_ROOT = Root((bytes(range(1, 11)) * 4)[:32])
"""Head, source and target root of all attestations."""

SOURCE = Checkpoint(Epoch(0), BLOCK_ROOT)
"""Source of all attestations."""

TARGET = Checkpoint(Epoch(1), BLOCK_ROOT)
"""Target of all attestations."""

OWN_VOTE = BeaconVote(BLOCK_ROOT, SOURCE, TARGET)
"""What the beacon node says of every slot."""

CHAIN = BeaconChain(
    genesis_time=1_616_508_000.0,
    genesis_validators_root=Root(bytes(32)),
    slot_duration_ms=12_000,
    slots_per_epoch=SLOTS_PER_EPOCH,
    forks=tuple(
        ForkVersion(Epoch(epoch), bytes(4), name)
        for epoch, name in (
            (0, "phase0"),
            (74_240, "altair"),
            (144_896, "bellatrix"),
            (162_304, "capella"),
            (231_680, "deneb"),
            (232_000, "electra"),
            (242_000, "fulu"),
        )
    ),
)
"""The suite's beacon chain; its clock is the real one."""

_BITS = bytes(16) + b"\x01"
_NO_SIGNATURE = Signature(bytes(96))
_MANY = "tests.MultiMsgProcessingSpecTest"

PHASE0_AGGREGATE = Attestation(_BITS, AttestationData(DUTY_SLOT, 3, BLOCK_ROOT, SOURCE, TARGET), _NO_SIGNATURE)
"""The aggregate of every beacon committee before Electra."""

ELECTRA_AGGREGATE = ElectraAttestation(
    _BITS, AttestationData(ELECTRA_SLOT, 0, BLOCK_ROOT, SOURCE, TARGET), _NO_SIGNATURE, bytes(8)
)
"""The aggregate of every beacon committee from Electra on."""

CONTRIBUTIONS_VERSION = DataVersion.BELLATRIX
"""Data version that comes with contributions."""


@functools.cache
def contributions() -> Contributions:
    """The three contributions of every slot, with the main validator's proofs."""
    domain = compute_domain(DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, bytes(4), Root(bytes(32)))
    secret = bls.secret_from_bytes(VALIDATOR_SECRET)
    items = []
    for subcommittee in range(3):
        data = SyncAggregatorSelectionData(DUTY_SLOT, subcommittee)
        proof = bls.sign(secret, signing_root(data.hash_tree_root(), domain))
        contribution = SyncCommitteeContribution(DUTY_SLOT, BLOCK_ROOT, subcommittee, bytes(16), _NO_SIGNATURE)
        items.append(Contribution(proof, contribution))
    return Contributions(tuple(items))


class SuiteKeys:
    """OperatorKeys: checks real signatures; own ones are placeholders, for the suite compares none of them."""

    def sign(self, message: bytes) -> bytes:  # noqa: ARG002
        """A placeholder of 256 bytes."""
        return b"\x01" * 256

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether an operator's signature is valid."""
        return operator_keys.verify(public_key, message, signature)


@dataclass
class SuiteSigner:
    """ShareSigner: knows which (share key, slot) are slashable; signs with placeholders, as only roots count."""

    slot: Slot = DUTY_SLOT
    """Slot of the attestations that are checked."""
    slashable: dict[bytes, set[Slot]] = field(default_factory=dict)
    """Share key → slots in which attestations are slashable."""

    def slashable_attestations(
        self,
        shares: Sequence[PublicKey],
        source: Epoch,  # noqa: ARG002
        target: Epoch,  # noqa: ARG002
    ) -> list[PublicKey]:
        """The shares that are slashable in the slot."""
        return [share for share in shares if self.slot in self.slashable.get(share, ())]

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:  # noqa: ARG002
        """Blocks never are."""
        return False

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        """Placeholders. Raises SlashableError."""
        if self.slashable_attestations(shares, source, target):
            raise SlashableError("a slashable attestation")
        return self.sign_roots(shares, roots)

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:  # noqa: ARG002
        """A placeholder."""
        return _NO_SIGNATURE

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        """Placeholders."""
        return [_NO_SIGNATURE for _ in zip(shares, roots, strict=True)]


class SuiteSelection(Selection):
    """Everyone is an aggregator unless the test says otherwise."""

    def __init__(
        self,
        *,
        places_are_subcommittees: bool = False,
        committees: Mapping[int, bool] | None = None,
        proofs: Mapping[bytes, bool] | None = None,
    ) -> None:
        """Make a selection in which everyone is chosen but for what is given.

        Args:
            places_are_subcommittees: a place in the sync committee counts as its subcommittee (Alan's tests).
            committees: beacon committee → whether its members aggregate.
            proofs: a sync committee member's proof → whether it is chosen; those not named are not.
        """
        super().__init__()
        self._places_are_subcommittees = places_are_subcommittees
        self._committees = committees or {}
        self._proofs = proofs

    def subcommittee(self, place: int) -> int:
        """As the release's tests have it."""
        return place if self._places_are_subcommittees else super().subcommittee(place)

    def is_aggregator(self, committee_index: int, committee_length: int, proof: Signature) -> bool:  # noqa: ARG002
        """As the test says."""
        return self._committees.get(committee_index, True)

    def is_sync_committee_aggregator(self, proof: Signature) -> bool:
        """As the test says."""
        return True if self._proofs is None else self._proofs.get(proof, False)


@dataclass
class Recorder:
    """Outbox of runners: keeps everything."""

    sent: list[SignedSSVMessage] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def broadcast(self, message: SignedSSVMessage) -> None:
        """Keep a message."""
        self.sent.append(message)

    def emit(self, effect: Effect) -> None:
        """Keep an effect."""
        self.effects.append(effect)


def answer(request: AskBeacon, test: SpecTest) -> BeaconReply:
    """What the suite's beacon node answers in a test: an aggregate in Alan with its proof, in Boole alone."""
    fork = CHAIN.fork_at(CHAIN.epoch_of(request.slot)).name
    version = DataVersion[fork.upper()]
    match request.kind:
        case AskKind.BLOCK:
            return BeaconReply(request.request_id, _block(version, test), version)
        case AskKind.AGGREGATE:
            aggregate = ELECTRA_AGGREGATE if version >= DataVersion.ELECTRA else PHASE0_AGGREGATE
            payload = (
                AggregateAndProof(VALIDATOR_INDEX, aggregate, _NO_SIGNATURE).encode()
                if test.fork is SpecFork.ALAN
                else aggregate.encode()
            )
            return BeaconReply(request.request_id, payload, version)
        case AskKind.CONTRIBUTIONS:
            return BeaconReply(request.request_id, contributions().encode(), CONTRIBUTIONS_VERSION)


def _block(version: int, test: SpecTest) -> bytes:
    """The full block of the suite's beacon node."""
    for folder in folders(test):
        block = _blocks(folder).get(version)
        if block is not None:
            return block
    raise MismatchError(f"no file proposes a full block of version {version}")


@functools.cache
def _blocks(folder: Path) -> Mapping[int, bytes]:
    """Version → full block, from the proposals of the proposer's tests in a folder."""
    wanted = {DataVersion.CAPELLA, DataVersion.DENEB, DataVersion.ELECTRA, DataVersion.FULU}
    found: dict[int, bytes] = {}
    for pattern in (f"{_MANY}_full_happy_flow.json", f"{_MANY}_*.json"):
        for path in sorted(folder.glob(pattern)):
            for test in json.loads(path.read_text(encoding="utf-8"))["Tests"]:
                for value in _proposals(test):
                    found.setdefault(value.version, value.data_ssz)
            if wanted <= found.keys():
                return found
    return found


def _proposals(test: Json) -> Collection[ProposerConsensusData]:
    """The full blocks proposed in a test of the proposer."""
    if (test.get("ValidatorDuty") or {}).get("Type") != BeaconRole.PROPOSER or test["ExpectedErrorCode"] != 0:
        return []
    values = []
    for message in test["Messages"] or []:
        try:
            value = ProposerConsensusData.decode(fixtures.unbase64(message["FullData"]))
            if not block_of(value).blinded:
                values.append(value)
        except ProtocolError:
            continue  # no proposal, or an invalid one
    return values


def now() -> float:
    """The suite's clock."""
    return time.time()
