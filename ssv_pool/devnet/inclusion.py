"""What the beacon chain shows of attesters' work: who was assigned, whose vote is in a block, how soon and how right.

Everything is counted from blocks and committees as any beacon node serves them, nothing from our own logs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from ssv_pool.errors import UnavailableError
from ssv_pool.protocol.types import AttestationData, Checkpoint
from ssv_pool.protocol.types.primitives import Epoch, Root, Slot

Committees = Mapping[tuple[int, int], Sequence[int]]
"""Validator indices by (slot, committee index), in order of their places."""


@dataclass(frozen=True, slots=True)
class IncludedAttestation:
    """An attestation in a block. Since Electra one covers several committees of its slot."""

    data: AttestationData
    """What was voted for."""
    committee_indices: tuple[int, ...]
    """The committees it covers, ascending."""
    bits: tuple[bool, ...]
    """Who signed: the places of all its committees, one committee after the other."""

    def voters(self, committees: Committees) -> list[int]:
        """The validators that signed.

        Raises:
            ValueError: the bits do not fit the committees.
        """
        members = [member for index in self.committee_indices for member in committees[self.data.slot, index]]
        if len(members) != len(self.bits):
            raise ValueError(f"attestation of slot {self.data.slot}: {len(self.bits)} bits, expected {len(members)}")
        return [member for member, bit in zip(members, self.bits, strict=True) if bit]


@dataclass(frozen=True, slots=True)
class CanonicalBlock:
    """What counting needs of a block of the canonical chain."""

    slot: int
    parent_root: bytes
    """Root of the block before it, 32 bytes."""
    attestations: tuple[IncludedAttestation, ...]
    proposer_index: int = 0
    sync_bits: tuple[bool, ...] = ()
    """Who of the sync committee signed the block before, by place."""
    exits: tuple[int, ...] = ()
    """Validators whose voluntary exits it holds."""


@dataclass(frozen=True, slots=True)
class DutyResult:
    """What became of one attester duty."""

    validator_index: int
    slot: int
    """The slot the validator had to attest in."""
    included_slot: int | None
    """Slot of the first block that holds the vote; None if there is none."""
    earliest_slot: int | None
    """Slot of the first block after the duty; None if there is none yet."""
    correct_head: bool
    """Whether the vote was included and its head is the block that is canonical at the duty's slot."""

    @property
    def effectiveness(self) -> float:
        """Shortest possible inclusion distance over the actual one, 1.0 at best; 0.0 for a missed duty."""
        if self.included_slot is None or self.earliest_slot is None:
            return 0.0
        return (self.earliest_slot - self.slot) / (self.included_slot - self.slot)


@dataclass(frozen=True, slots=True)
class SlotResult:
    """The duties of one slot, counted."""

    slot: int
    assigned: int
    included: int
    correct_head: int


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The duties of some validators in some epochs, and the field's figures over them."""

    duties: tuple[DutyResult, ...]
    """In order of slot and validator."""

    @property
    def assigned(self) -> int:
        """How many duties there were."""
        return len(self.duties)

    @property
    def included(self) -> int:
        """How many votes are in a block."""
        return sum(duty.included_slot is not None for duty in self.duties)

    @property
    def correct_head(self) -> int:
        """How many votes are in a block and right about the head."""
        return sum(duty.correct_head for duty in self.duties)

    @property
    def rate(self) -> float:
        """Included / assigned; 1.0 where nothing was assigned."""
        return self.included / self.assigned if self.assigned else 1.0

    @property
    def correctness(self) -> float:
        """Right head votes / included; 1.0 where nothing was included."""
        return self.correct_head / self.included if self.included else 1.0

    @property
    def effectiveness(self) -> float:
        """The duties' effectiveness, averaged over all that were assigned; a missed duty counts as 0."""
        return sum(duty.effectiveness for duty in self.duties) / self.assigned if self.assigned else 1.0

    def by_slot(self) -> list[SlotResult]:
        """The same counts for each slot that had a duty, in order."""
        slots: dict[int, list[DutyResult]] = {}
        for duty in self.duties:
            slots.setdefault(duty.slot, []).append(duty)
        return [
            SlotResult(
                slot,
                len(duties),
                sum(duty.included_slot is not None for duty in duties),
                sum(duty.correct_head for duty in duties),
            )
            for slot, duties in sorted(slots.items())
        ]


def count_inclusion(
    validators: Collection[int], committees: Committees, blocks: Iterable[CanonicalBlock], slots: Collection[int]
) -> Inclusion:
    """Judge the duties of ``validators`` in ``slots``.

    Args:
        validators: indices of the validators to look at.
        committees: the committees of at least these slots and of every attestation's slot in ``blocks`` that is
            one of them.
        blocks: the canonical blocks after the first of the slots, in any order.
        slots: the slots whose duties count.

    Raises:
        ValueError: an attestation does not fit its committees.
    """
    wanted, wanted_slots = frozenset(validators), frozenset(slots)
    chain = sorted(blocks, key=lambda block: block.slot)
    first_votes: dict[tuple[int, int], tuple[int, AttestationData]] = {}
    for block in chain:
        for attestation in block.attestations:
            if attestation.data.slot in wanted_slots:
                for voter in attestation.voters(committees):
                    first_votes.setdefault((voter, attestation.data.slot), (block.slot, attestation.data))
    duties = []
    for (slot, _index), members in committees.items():
        if slot not in wanted_slots:
            continue
        # The first block after the duty's slot names, as its parent, the block that was the head in that slot.
        following = next((block for block in chain if block.slot > slot), None)
        for member in wanted.intersection(members):
            vote = first_votes.get((member, slot))
            duties.append(
                DutyResult(
                    validator_index=member,
                    slot=slot,
                    included_slot=vote[0] if vote else None,
                    earliest_slot=following.slot if following else None,
                    correct_head=vote is not None
                    and following is not None
                    and vote[1].beacon_block_root == following.parent_root,
                )
            )
    return Inclusion(tuple(sorted(duties, key=lambda duty: (duty.slot, duty.validator_index))))


class ChainReader:
    """Reads blocks and committees from a beacon node. A context manager; each answer is fetched once."""

    def __init__(
        self,
        url: str,
        slots_per_epoch: int = 8,
        timeout: float = 10.0,
        committees: Mapping[int, Mapping[tuple[int, int], tuple[int, ...]]] | None = None,
    ) -> None:
        """Args: the beacon node's base URL; committees by epoch that are known already and not asked for."""
        self._client = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._slots_per_epoch = slots_per_epoch
        self._committees = {epoch: dict(known) for epoch, known in (committees or {}).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def inclusion(self, validators: Collection[int], first_epoch: int, last_epoch: int) -> Inclusion:
        """Judge the attester duties of ``validators`` from ``first_epoch`` to ``last_epoch``, both included.

        Blocks up to the end of the epoch after the last, or up to the head, are searched.

        Raises:
            UnavailableError: the beacon node does not answer.
            ValueError: its answers contradict each other.
        """
        first_slot = first_epoch * self._slots_per_epoch
        end_slot = (last_epoch + 1) * self._slots_per_epoch
        committees = self.committees(range(first_epoch, last_epoch + 1))
        blocks = self.blocks(first_slot + 1, end_slot + self._slots_per_epoch - 1)
        return count_inclusion(validators, committees, blocks, range(first_slot, end_slot))

    def committees(self, epochs: Iterable[int]) -> dict[tuple[int, int], tuple[int, ...]]:
        """The committees of ``epochs``. Raises UnavailableError."""
        found: dict[tuple[int, int], tuple[int, ...]] = {}
        for epoch in epochs:
            if epoch not in self._committees:
                entries = self._get(f"/eth/v1/beacon/states/head/committees?epoch={epoch}")
                self._committees[epoch] = parse_committees(entries, epoch, self._slots_per_epoch)
            found |= self._committees[epoch]
        return found

    def blocks(self, first_slot: int, last_slot: int) -> list[CanonicalBlock]:
        """The canonical blocks of these slots, both included, up to the head. Raises UnavailableError."""
        last_slot = min(last_slot, self.head_slot())
        answers = (
            self._get(f"/eth/v2/beacon/blocks/{slot}", missing_ok=True) for slot in range(first_slot, last_slot + 1)
        )
        return [parse_block(answer) for answer in answers if answer is not None]

    def head_slot(self) -> int:
        """Slot of the head block. Raises UnavailableError."""
        return int(self._get("/eth/v1/beacon/headers/head")["header"]["message"]["slot"])

    def _get(self, path: str, *, missing_ok: bool = False) -> Any:
        """The ``data`` of an answer; None for 404 where that is expected."""
        try:
            response = self._client.get(path)
            if missing_ok and response.status_code == httpx.codes.NOT_FOUND:
                return None
            response.raise_for_status()
            return response.json()["data"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise UnavailableError(f"beacon node: {path}: {error}") from error


def parse_committees(
    entries: Iterable[Mapping[str, Any]], epoch: int, slots_per_epoch: int
) -> dict[tuple[int, int], tuple[int, ...]]:
    """The committees of an epoch from the Beacon API's JSON, by slot and index.

    Lodestar 1.5 writes the place of the slot in the epoch as the index and the committee's index as the slot.

    Raises:
        ValueError: the epoch's slots are not what they are of.
    """
    listed = [(int(entry["slot"]), int(entry["index"]), tuple(map(int, entry["validators"]))) for entry in entries]
    first = epoch * slots_per_epoch
    if {slot for slot, _, _ in listed} == set(range(first, first + slots_per_epoch)):
        return {(slot, index): members for slot, index, members in listed}
    if {index for _, index, _ in listed} == set(range(slots_per_epoch)):
        return {(first + index, slot): members for slot, index, members in listed}
    raise ValueError(f"committees of epoch {epoch}: expected some of each of its {slots_per_epoch} slots")


def parse_block(signed_block: Mapping[str, Any]) -> CanonicalBlock:
    """A block from the Beacon API's JSON of a SignedBeaconBlock (Altair or later)."""
    message = signed_block["message"]
    body = message["body"]
    return CanonicalBlock(
        slot=int(message["slot"]),
        parent_root=_octets(message["parent_root"]),
        attestations=tuple(_attestation(entry) for entry in body["attestations"]),
        proposer_index=int(message["proposer_index"]),
        sync_bits=tuple(_bits(_octets(body["sync_aggregate"]["sync_committee_bits"]))),
        exits=tuple(int(entry["message"]["validator_index"]) for entry in body["voluntary_exits"]),
    )


def _attestation(entry: Mapping[str, Any]) -> IncludedAttestation:
    data = entry["data"]
    bits = _bits(_octets(entry["aggregation_bits"]))
    # A bit list carries its length as one more set bit at its end.
    length = max(place for place, bit in enumerate(bits) if bit)
    if "committee_bits" in entry:
        committees = tuple(place for place, bit in enumerate(_bits(_octets(entry["committee_bits"]))) if bit)
    else:  # before Electra an attestation is of one committee
        committees = (int(data["index"]),)
    return IncludedAttestation(
        data=AttestationData(
            slot=Slot(int(data["slot"])),
            index=int(data["index"]),
            beacon_block_root=Root(_octets(data["beacon_block_root"])),
            source=_checkpoint(data["source"]),
            target=_checkpoint(data["target"]),
        ),
        committee_indices=committees,
        bits=tuple(bits[:length]),
    )


def _checkpoint(entry: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(epoch=Epoch(int(entry["epoch"])), root=Root(_octets(entry["root"])))


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _bits(raw: bytes) -> list[bool]:
    return [bool(byte >> place & 1) for byte in raw for place in range(8)]
