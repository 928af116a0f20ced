"""The beacon chain's objects that attesting needs, and signing roots (PROTOCOL 1.8, 1.13)."""

import struct
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import Domain, Epoch, Root, Slot

DOMAIN_BEACON_PROPOSER = bytes.fromhex("00000000")
"""Blocks. The first four bytes of a signature domain; from the beacon chain's specification, as all that follow."""
DOMAIN_BEACON_ATTESTER = bytes.fromhex("01000000")
"""Attestations."""
DOMAIN_RANDAO = bytes.fromhex("02000000")
"""RANDAO reveals."""
DOMAIN_DEPOSIT = bytes.fromhex("03000000")
"""Deposit data."""
DOMAIN_VOLUNTARY_EXIT = bytes.fromhex("04000000")
"""Voluntary exits."""
DOMAIN_SELECTION_PROOF = bytes.fromhex("05000000")
"""Attestation aggregators' selection proofs."""
DOMAIN_AGGREGATE_AND_PROOF = bytes.fromhex("06000000")
"""Aggregates."""
DOMAIN_SYNC_COMMITTEE = bytes.fromhex("07000000")
"""Sync committee messages."""
DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF = bytes.fromhex("08000000")
"""Sync committee aggregators' selection proofs."""
DOMAIN_CONTRIBUTION_AND_PROOF = bytes.fromhex("09000000")
"""Sync committee contributions."""
DOMAIN_APPLICATION_BUILDER = bytes.fromhex("00000001")
"""Validator registrations with block builders."""

_VOTE = struct.Struct("<32sQ32sQ32s")
_DATA = struct.Struct("<QQ32sQ32sQ32s")
_CHECKPOINT = struct.Struct("<Q32s")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An epoch and the root of its first block; 40 bytes."""

    epoch: Epoch
    root: Root
    """32 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``root`` is not 32 bytes long."""
        ssz.check_fixed("Checkpoint.root", self.root, 32)
        return _CHECKPOINT.pack(self.epoch, self.root)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        _check_exact("Checkpoint", raw, _CHECKPOINT.size)
        epoch, root = _CHECKPOINT.unpack(raw)
        return cls(Epoch(epoch), Root(root))

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(ssz.u64_root(self.epoch), self.root)


@dataclass(frozen=True, slots=True)
class AttestationData:
    """What an attestation says; 128 bytes."""

    slot: Slot
    index: int
    """Committee index; 0 from Electra on."""
    beacon_block_root: Root
    """The head, 32 bytes."""
    source: Checkpoint
    target: Checkpoint

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when a root is not 32 bytes long."""
        ssz.check_fixed("AttestationData.beacon_block_root", self.beacon_block_root, 32)
        head = struct.pack("<QQ32s", self.slot, self.index, self.beacon_block_root)
        return head + self.source.encode() + self.target.encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        _check_exact("AttestationData", raw, _DATA.size)
        slot, index, block_root, source_epoch, source_root, target_epoch, target_root = _DATA.unpack(raw)
        return cls(
            Slot(slot),
            index,
            Root(block_root),
            Checkpoint(Epoch(source_epoch), Root(source_root)),
            Checkpoint(Epoch(target_epoch), Root(target_root)),
        )

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.slot),
            ssz.u64_root(self.index),
            self.beacon_block_root,
            self.source.hash_tree_root(),
            self.target.hash_tree_root(),
        )


@dataclass(frozen=True, slots=True)
class BeaconVote:
    """The value a committee agrees on for its attestations and sync committee messages; 112 bytes."""

    block_root: Root
    """The head, 32 bytes."""
    source: Checkpoint
    target: Checkpoint

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when a root is not 32 bytes long."""
        ssz.check_fixed("BeaconVote.block_root", self.block_root, 32)
        return self.block_root + self.source.encode() + self.target.encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        _check_exact("BeaconVote", raw, _VOTE.size)
        block_root, source_epoch, source_root, target_epoch, target_root = _VOTE.unpack(raw)
        return cls(
            Root(block_root),
            Checkpoint(Epoch(source_epoch), Root(source_root)),
            Checkpoint(Epoch(target_epoch), Root(target_root)),
        )

    def validate(self) -> None:
        """Raises ProtocolError (26) unless the source is before the target. In Alan a part of the value check."""
        if self.source.epoch >= self.target.epoch:
            raise ProtocolError(
                f"beacon vote's source epoch is {self.source.epoch}, expected one below its target {self.target.epoch}",
                ErrorCode.ATTESTATION_SOURCE_NOT_LESS_THAN_TARGET,
            )

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(self.block_root, self.source.hash_tree_root(), self.target.hash_tree_root())


def compute_domain(domain_type: bytes, fork_version: bytes, genesis_validators_root: Root) -> Domain:
    """The signature domain, 32 bytes.

    Args:
        domain_type: one of the DOMAIN constants, 4 bytes.
        fork_version: 4 bytes.
        genesis_validators_root: 32 bytes.

    Raises:
        ValueError: an argument has a wrong length.
    """
    ssz.check_fixed("domain type", domain_type, 4)
    ssz.check_fixed("fork version", fork_version, 4)
    ssz.check_fixed("genesis validators root", genesis_validators_root, 32)
    fork_data_root = ssz.container_root(fork_version.ljust(32, b"\0"), genesis_validators_root)
    return Domain(domain_type + fork_data_root[:28])


def signing_root(object_root: Root, domain: Domain) -> Root:
    """What is signed: the root of SigningData(object root, domain), 32 bytes."""
    return ssz.container_root(object_root, domain)


def _check_exact(name: str, raw: bytes, size: int) -> None:
    if len(raw) != size:
        raise ssz.undecodable(name, f"{len(raw)} bytes, expected {size}")
