"""Sync committee objects (PROTOCOL 1.10, 3.7): messages, contributions, their proofs, Alan's list of contributions."""

import struct
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.primitives import Root, Signature, Slot, ValidatorIndex

MAX_CONTRIBUTIONS = 13
"""List limit of Contributions."""

_CONTRIBUTION = struct.Struct("<Q32sQ16s96s")
_ITEM_BYTES = 96 + _CONTRIBUTION.size


@dataclass(frozen=True, slots=True)
class SyncCommitteeContribution:
    """The aggregated messages of one subcommittee; 160 bytes."""

    slot: Slot
    beacon_block_root: Root
    """32 bytes."""
    subcommittee_index: int
    aggregation_bits: bytes
    """Who of the subcommittee's 128 took part; 16 bytes. In a preset with fewer the rest is zero: the root is one."""
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SyncCommitteeContribution.beacon_block_root", self.beacon_block_root, 32)
        ssz.check_fixed("SyncCommitteeContribution.aggregation_bits", self.aggregation_bits, 16)
        ssz.check_fixed("SyncCommitteeContribution.signature", self.signature, 96)
        return _CONTRIBUTION.pack(
            self.slot, self.beacon_block_root, self.subcommittee_index, self.aggregation_bits, self.signature
        )

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        if len(raw) != _CONTRIBUTION.size:
            raise ssz.undecodable("SyncCommitteeContribution", f"{len(raw)} bytes, expected {_CONTRIBUTION.size}")
        return cls(*_CONTRIBUTION.unpack(raw))

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.slot),
            self.beacon_block_root,
            ssz.u64_root(self.subcommittee_index),
            ssz.bytes_root(self.aggregation_bits),
            ssz.bytes_root(self.signature),
        )


CONTRIBUTION_BYTES = _CONTRIBUTION.size
"""Length of an encoded SyncCommitteeContribution."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """A contribution with the proof that the validator was chosen to make it; 256 bytes."""

    selection_proof: Signature
    """96 bytes."""
    contribution: SyncCommitteeContribution

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("Contribution.selection_proof", self.selection_proof, 96)
        return self.selection_proof + self.contribution.encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        if len(raw) != _ITEM_BYTES:
            raise ssz.undecodable("Contribution", f"{len(raw)} bytes, expected {_ITEM_BYTES}")
        return cls(Signature(raw[:96]), SyncCommitteeContribution.decode(raw[96:]))

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(ssz.bytes_root(self.selection_proof), self.contribution.hash_tree_root())


@dataclass(frozen=True, slots=True)
class Contributions:
    """What Alan's contribution runner agrees on: at most 13 contributions.

    Alan writes a table of offsets before the items although their size is fixed, so this is no standard SSZ list; its
    root is one.
    """

    items: tuple[Contribution, ...]

    def encode(self) -> bytes:
        """Alan's bytes: 4 of offset an item, then 256 an item. Raises ValueError on a field of a wrong length."""
        return ssz.encode_byte_lists([item.encode() for item in self.items])

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read Alan's bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        return cls(tuple(map(Contribution.decode, ssz.split_list("Contributions", raw, MAX_CONTRIBUTIONS))))

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.list_root([item.hash_tree_root() for item in self.items], MAX_CONTRIBUTIONS)


@dataclass(frozen=True, slots=True)
class ContributionAndProof:
    """What a sync committee aggregator signs; 264 bytes."""

    aggregator_index: ValidatorIndex
    contribution: SyncCommitteeContribution
    selection_proof: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("ContributionAndProof.selection_proof", self.selection_proof, 96)
        return struct.pack("<Q", self.aggregator_index) + self.contribution.encode() + self.selection_proof

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.aggregator_index),
            self.contribution.hash_tree_root(),
            ssz.bytes_root(self.selection_proof),
        )


@dataclass(frozen=True, slots=True)
class SignedContributionAndProof:
    """What a sync committee aggregator submits; 360 bytes."""

    message: ContributionAndProof
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SignedContributionAndProof.signature", self.signature, 96)
        return self.message.encode() + self.signature

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(self.message.hash_tree_root(), ssz.bytes_root(self.signature))


@dataclass(frozen=True, slots=True)
class SyncAggregatorSelectionData:
    """What is signed to prove that a validator may aggregate for a subcommittee; 16 bytes."""

    slot: Slot
    subcommittee_index: int

    def encode(self) -> bytes:
        """The SSZ bytes."""
        return struct.pack("<QQ", self.slot, self.subcommittee_index)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(ssz.u64_root(self.slot), ssz.u64_root(self.subcommittee_index))


@dataclass(frozen=True, slots=True)
class SyncCommitteeMessage:
    """What a sync committee member submits; 144 bytes. It signs the block root alone."""

    slot: Slot
    beacon_block_root: Root
    """32 bytes."""
    validator_index: ValidatorIndex
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SyncCommitteeMessage.beacon_block_root", self.beacon_block_root, 32)
        ssz.check_fixed("SyncCommitteeMessage.signature", self.signature, 96)
        return struct.pack("<Q32sQ96s", self.slot, self.beacon_block_root, self.validator_index, self.signature)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.slot),
            self.beacon_block_root,
            ssz.u64_root(self.validator_index),
            ssz.bytes_root(self.signature),
        )
