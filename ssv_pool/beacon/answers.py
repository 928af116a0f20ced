"""Strict reading of the Beacon API's JSON, and the shapes that this program sends.

Numbers are decimal texts, bytes are 0x hex. Anything else is an AnswerError that names the field, the value and what
was expected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssv_pool import bounded_json
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import SignedAttestation
from ssv_pool.protocol.types.beacon import AttestationData, Checkpoint
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.presets import MAINNET, Preset, preset_named
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH, Epoch, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.duties import Proposal, SyncMembership

FORK_NAMES = ("phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas")
"""The beacon chain's forks in their order."""


_KNOWN = (
    "alreadyknown",
    "alreadyseen",
    "alreadyexists",
    "isknown",
    "priorattestationknown",
    "priorsynccommitteemessageknown",
    "duplicate",
)
"""How nodes say that they have an object already, without blanks and dashes."""


class AnswerError(Exception):
    """A field of an answer is missing or not what it should be."""


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """Where a beacon node stands."""

    head_slot: Slot
    """Slot of its head."""
    distance: int
    """Slots that it is behind, by its own count."""
    syncing: bool
    """Whether it is still catching up: its duties and data are of no use then."""
    optimistic: bool
    """Whether its execution node has not verified the head yet."""
    execution_offline: bool
    """Whether its execution node does not answer."""

    @property
    def problem(self) -> str | None:
        """Why it cannot be used now, one line; None when it can."""
        if self.syncing:
            return f"syncing, {self.distance} slots behind"
        if self.execution_offline:
            return "its execution node is offline"
        if self.optimistic:
            return "its head is not verified by its execution node (optimistic)"
        return None


@dataclass(frozen=True, slots=True)
class BeaconValidator:
    """What the beacon chain says of one validator."""

    index: ValidatorIndex
    """Index in the beacon state."""
    public_key: PublicKey
    """48 bytes."""
    status: str
    """Status by the Beacon API's names: ``active_ongoing`` and the like."""
    activation_epoch: Epoch
    """FAR_FUTURE_EPOCH when not known yet."""
    exit_epoch: Epoch
    """FAR_FUTURE_EPOCH when no exit is under way."""


@dataclass(frozen=True, slots=True)
class AttesterDuties:
    """The attestation duties of one epoch."""

    epoch: Epoch
    """The epoch."""
    dependent_root: Root
    """They hold as long as the chain has this root, 32 bytes."""
    duties: tuple[ValidatorDuty, ...]
    """One for each active validator that was asked for."""


@dataclass(frozen=True, slots=True)
class ProposerDuties:
    """Who proposes in one epoch."""

    epoch: Epoch
    """The epoch."""
    dependent_root: Root
    """They hold as long as the chain has this root, 32 bytes."""
    proposals: tuple[Proposal, ...]
    """By ascending slot; before an epoch begins perhaps not all slots."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One object of a batch was not accepted."""

    position: int
    """Place in the batch, from 0."""
    message: str
    """The node's words."""

    @property
    def already_known(self) -> bool:
        """Whether the node refused it only because it has it already, from here or from another operator."""
        return already_known(self.message)


def member(body: Any, key: str, kind: type) -> Any:
    """``body[key]``, which must be of ``kind`` (dict, list, str or bool)."""
    if not isinstance(body, Mapping) or key not in body:
        raise AnswerError(f"{key}: missing")
    value = body[key]
    if not isinstance(value, kind):
        raise AnswerError(f"{key}: found {str(value)[:60]!r}, expected a {kind.__name__}")
    return value


def number(body: Any, key: str) -> int:
    """An unsigned 64-bit number, written as decimal text."""
    text = member(body, key, str)
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) >= 2**64:
        raise AnswerError(f"{key}: found {text[:60]!r}, expected a decimal number below 2^64")
    return int(text)


def octets(body: Any, key: str, length: int) -> bytes:
    """So many bytes in 0x hex."""
    text = member(body, key, str)
    try:
        raw = bytes.fromhex(text[2:])
    except ValueError:
        raw = b""
    if text[:2] != "0x" or len(text) != 2 + 2 * length or len(raw) != length:
        raise AnswerError(f"{key}: found {text[:60]!r}, expected 0x and {length} bytes in hex")
    return raw


def sync_status(body: Any) -> SyncStatus:
    """Read ``/eth/v1/node/syncing``."""
    data = member(body, "data", dict)
    return SyncStatus(
        head_slot=Slot(number(data, "head_slot")),
        distance=number(data, "sync_distance"),
        syncing=member(data, "is_syncing", bool),
        # Older nodes leave these two out.
        optimistic=bool(data.get("is_optimistic", False)),
        execution_offline=bool(data.get("el_offline", False)),
    )


def chain(genesis: Any, spec: Any, schedule: Any) -> BeaconChain:
    """The chain's constants from ``/eth/v1/beacon/genesis``, ``/eth/v1/config/spec`` and ``…/fork_schedule``."""
    genesis_data, config = member(genesis, "data", dict), member(spec, "data", dict)
    names = _fork_names(config)
    forks = []
    for entry in member(schedule, "data", list):
        epoch, version = Epoch(number(entry, "epoch")), octets(entry, "current_version", 4)
        if epoch != FAR_FUTURE_EPOCH:
            forks.append(ForkVersion(epoch, version, names.get(version, f"0x{version.hex()}")))
    # Of several forks at one epoch the last in the order of forks is in force; nodes list them in that order.
    forks.sort(key=lambda fork: fork.epoch)
    if not forks or forks[0].epoch != 0:
        raise AnswerError("fork schedule: no fork at epoch 0")
    # SECONDS_PER_SLOT is the older name; SLOT_DURATION_MS wins where both are given.
    duration = number(config, "SLOT_DURATION_MS") if "SLOT_DURATION_MS" in config else 0
    duration = duration or 1000 * number(config, "SECONDS_PER_SLOT")
    slots = number(config, "SLOTS_PER_EPOCH")
    if not duration or not slots:
        raise AnswerError("spec: found a slot or an epoch of length 0")
    return BeaconChain(
        genesis_time=float(number(genesis_data, "genesis_time")),
        genesis_validators_root=Root(octets(genesis_data, "genesis_validators_root", 32)),
        slot_duration_ms=duration,
        slots_per_epoch=slots,
        forks=tuple(forks),
        preset=_preset(config),
    )


def validators(body: Any) -> list[BeaconValidator]:
    """Read ``/eth/v1/beacon/states/{state}/validators``."""
    found = []
    for entry in member(body, "data", list):
        validator = member(entry, "validator", dict)
        found.append(
            BeaconValidator(
                index=ValidatorIndex(number(entry, "index")),
                public_key=PublicKey(octets(validator, "pubkey", 48)),
                status=member(entry, "status", str),
                activation_epoch=Epoch(number(validator, "activation_epoch")),
                exit_epoch=Epoch(number(validator, "exit_epoch")),
            )
        )
    return found


def attester_duties(body: Any, epoch: Epoch) -> AttesterDuties:
    """Read ``/eth/v1/validator/duties/attester/{epoch}``."""
    duties = [
        ValidatorDuty(
            type=int(BeaconRole.ATTESTER),
            pubkey=PublicKey(octets(entry, "pubkey", 48)),
            slot=Slot(number(entry, "slot")),
            validator_index=ValidatorIndex(number(entry, "validator_index")),
            committee_index=number(entry, "committee_index"),
            committee_length=number(entry, "committee_length"),
            committees_at_slot=number(entry, "committees_at_slot"),
            validator_committee_index=number(entry, "validator_committee_index"),
        )
        for entry in member(body, "data", list)
    ]
    return AttesterDuties(epoch, Root(octets(body, "dependent_root", 32)), tuple(duties))


def proposer_duties(body: Any, epoch: Epoch) -> ProposerDuties:
    """Read ``/eth/v1/validator/duties/proposer/{epoch}``."""
    found = {
        number(entry, "slot"): Proposal(
            Slot(number(entry, "slot")),
            ValidatorIndex(number(entry, "validator_index")),
            PublicKey(octets(entry, "pubkey", 48)),
        )
        for entry in member(body, "data", list)
    }
    proposals = tuple(found[slot] for slot in sorted(found))
    return ProposerDuties(epoch, Root(octets(body, "dependent_root", 32)), proposals)


def sync_duties(body: Any) -> list[SyncMembership]:
    """Read ``/eth/v1/validator/duties/sync/{epoch}``."""
    found = []
    for entry in member(body, "data", list):
        places = member(entry, "validator_sync_committee_indices", list)
        found.append(
            SyncMembership(
                ValidatorIndex(number(entry, "validator_index")),
                PublicKey(octets(entry, "pubkey", 48)),
                tuple(sorted({number({"place": place}, "place") for place in places})),
            )
        )
    return found


def attestation_data(body: Any, slot: Slot) -> AttestationData:
    """Read ``/eth/v1/validator/attestation_data`` for ``slot``."""
    data = member(body, "data", dict)
    if number(data, "slot") != slot:
        raise AnswerError(f"slot: found {number(data, 'slot')}, expected {slot}")
    source, target = (member(data, key, dict) for key in ("source", "target"))
    return AttestationData(
        slot=slot,
        index=number(data, "index"),
        beacon_block_root=Root(octets(data, "beacon_block_root", 32)),
        source=Checkpoint(Epoch(number(source, "epoch")), Root(octets(source, "root", 32))),
        target=Checkpoint(Epoch(number(target, "epoch")), Root(octets(target, "root", 32))),
    )


def already_known(message: str) -> bool:
    """Whether a node's words mean that it has the object already, from here or from another operator."""
    text = "".join(message.lower().replace("_", " ").replace("-", " ").split())
    return any(words in text for words in _KNOWN)


def refusals(body: Any) -> list[Refusal]:
    """Read an IndexedErrorMessage; an empty list when the body is none."""
    failures = body.get("failures") if isinstance(body, Mapping) else None
    if not isinstance(failures, list):
        return []
    found = []
    for failure in failures:
        position = failure.get("index") if isinstance(failure, Mapping) else None
        # The API says decimal text; some nodes send a number.
        if (isinstance(position, str) and position.isascii() and position.isdecimal()) or type(position) is int:
            found.append(Refusal(int(position), " ".join(str(failure.get("message", "")).split())[:200]))
    return found


def single_attestations(attestations: Sequence[SignedAttestation]) -> list[dict[str, Any]]:
    """The submission's form from Electra on."""
    return [
        {
            "committee_index": str(attestation.committee_index),
            "attester_index": str(attestation.validator_index),
            "data": _data(attestation.data),
            "signature": f"0x{attestation.signature.hex()}",
        }
        for attestation in attestations
    ]


def phase0_attestations(attestations: Sequence[SignedAttestation]) -> list[dict[str, Any]]:
    """The submission's form before Electra."""
    return [
        {
            "aggregation_bits": f"0x{_single_bit(attestation).hex()}",
            "data": _data(attestation.data),
            "signature": f"0x{attestation.signature.hex()}",
        }
        for attestation in attestations
    ]


def fork_is_at_least(name: str, fork: str) -> bool:
    """Whether the fork called ``name`` is ``fork`` or later; a name that is not known is a later one."""
    return name not in FORK_NAMES or FORK_NAMES.index(name) >= FORK_NAMES.index(fork)


def error_text(raw: bytes) -> str:
    """The words of a node's error answer."""
    try:
        body = bounded_json.loads(raw)
    except ValueError:
        return raw[:400].decode(errors="replace")
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or body)


def _preset(config: dict[str, Any]) -> Preset:
    # Older nodes leave it out; then it is a public network's.
    name = member(config, "PRESET_BASE", str) if "PRESET_BASE" in config else MAINNET.name
    try:
        return preset_named(name)
    except ValueError as error:
        raise AnswerError(f"spec: {error}") from None


def _fork_names(config: Mapping[str, Any]) -> dict[bytes, str]:
    names = {}
    for fork in FORK_NAMES:
        key = "GENESIS_FORK_VERSION" if fork == "phase0" else f"{fork.upper()}_FORK_VERSION"
        if key in config:
            names[octets(config, key, 4)] = fork
    return names


def _data(data: AttestationData) -> dict[str, Any]:
    return {
        "slot": str(data.slot),
        "index": str(data.index),
        "beacon_block_root": f"0x{data.beacon_block_root.hex()}",
        "source": {"epoch": str(data.source.epoch), "root": f"0x{data.source.root.hex()}"},
        "target": {"epoch": str(data.target.epoch), "root": f"0x{data.target.root.hex()}"},
    }


def _single_bit(attestation: SignedAttestation) -> bytes:
    """An SSZ bit list with the attester's bit set, and the bit that marks its end."""
    length, place = attestation.committee_length, attestation.validator_committee_index
    return (1 << place | 1 << length).to_bytes(length // 8 + 1, "little")
