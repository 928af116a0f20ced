"""The beacon chain's attestations, single and aggregated, and proofs of aggregation (PROTOCOL 1.10, 3.3)."""

import struct
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.beacon import AttestationData
from ssv_pool.protocol.types.primitives import Root, Signature, ValidatorIndex
from ssv_pool.protocol.types.versions import DataVersion

MAX_COMMITTEE_BITS = 2048
"""Most validators of a beacon committee."""

MAX_COMMITTEES_PER_SLOT = 64
"""Beacon committees in a slot; number of committee bits in an Electra attestation."""

_PHASE0_HEAD = struct.Struct("<I128s96s")
_ELECTRA_HEAD = struct.Struct("<I128s96s8s")
_PROOF_HEAD = struct.Struct("<QI96s")
_SIGNED_PROOF_HEAD = struct.Struct("<I96s")


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation of validators of one beacon committee, before Electra."""

    aggregation_bits: bytes
    """Who attests, as SSZ writes a bit list: with the bit that marks its end."""
    data: AttestationData
    signature: Signature
    """Aggregate of the attesters' signatures, 96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("Attestation.signature", self.signature, 96)
        return _PHASE0_HEAD.pack(_PHASE0_HEAD.size, self.data.encode(), self.signature) + self.aggregation_bits

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("Attestation", raw, _PHASE0_HEAD.size)
        offset, data, signature = _PHASE0_HEAD.unpack_from(raw)
        ssz.check_offsets("Attestation", (offset,), _PHASE0_HEAD.size, len(raw))
        bits = ssz.check_bitlist("Attestation.aggregation_bits", raw[offset:], MAX_COMMITTEE_BITS)
        return cls(bits, AttestationData.decode(data), signature)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.bitlist_root(self.aggregation_bits, MAX_COMMITTEE_BITS),
            self.data.hash_tree_root(),
            ssz.bytes_root(self.signature),
        )


@dataclass(frozen=True, slots=True)
class ElectraAttestation:
    """An attestation of validators of several beacon committees of one slot, from Electra on."""

    aggregation_bits: bytes
    """Who attests, committee after committee, as SSZ writes a bit list: with the bit that marks its end."""
    data: AttestationData
    signature: Signature
    """Aggregate of the attesters' signatures, 96 bytes."""
    committee_bits: bytes
    """Which committees, 64 bits in 8 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("ElectraAttestation.signature", self.signature, 96)
        ssz.check_fixed("ElectraAttestation.committee_bits", self.committee_bits, 8)
        head = _ELECTRA_HEAD.pack(_ELECTRA_HEAD.size, self.data.encode(), self.signature, self.committee_bits)
        return head + self.aggregation_bits

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("ElectraAttestation", raw, _ELECTRA_HEAD.size)
        offset, data, signature, committees = _ELECTRA_HEAD.unpack_from(raw)
        ssz.check_offsets("ElectraAttestation", (offset,), _ELECTRA_HEAD.size, len(raw))
        bits = ssz.check_bitlist(
            "ElectraAttestation.aggregation_bits", raw[offset:], MAX_COMMITTEE_BITS * MAX_COMMITTEES_PER_SLOT
        )
        return cls(bits, AttestationData.decode(data), signature, committees)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.bitlist_root(self.aggregation_bits, MAX_COMMITTEE_BITS * MAX_COMMITTEES_PER_SLOT),
            self.data.hash_tree_root(),
            ssz.bytes_root(self.signature),
            ssz.bytes_root(self.committee_bits),
        )


@dataclass(frozen=True, slots=True)
class SingleAttestation:
    """One validator's attestation as beacon nodes take it from Electra on; 240 bytes."""

    committee_index: int
    attester_index: ValidatorIndex
    data: AttestationData
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SingleAttestation.signature", self.signature, 96)
        return struct.pack("<QQ", self.committee_index, self.attester_index) + self.data.encode() + self.signature

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.committee_index),
            ssz.u64_root(self.attester_index),
            self.data.hash_tree_root(),
            ssz.bytes_root(self.signature),
        )


AnyAttestation = Attestation | ElectraAttestation
"""An aggregate of either form."""


def decode_attestation(version: int, raw: bytes) -> AnyAttestation:
    """Read an aggregate of a beacon chain fork: the Electra form from there on, whatever the number. Raises code 1."""
    return ElectraAttestation.decode(raw) if version >= DataVersion.ELECTRA else Attestation.decode(raw)


def one_bit(position: int, length: int) -> bytes:
    """The SSZ bit list of ``length`` bits in which only the one at ``position`` is set."""
    if not 0 <= position < length:
        raise ValueError(f"bit {position} of a bit list of {length} bits, expected a lower one")
    return (1 << position | 1 << length).to_bytes(length // 8 + 1, "little")


@dataclass(frozen=True, slots=True)
class AggregateAndProof:
    """An aggregate and the proof that its sender was chosen to aggregate. The form follows the aggregate's."""

    aggregator_index: ValidatorIndex
    aggregate: AnyAttestation
    selection_proof: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("AggregateAndProof.selection_proof", self.selection_proof, 96)
        head = _PROOF_HEAD.pack(self.aggregator_index, _PROOF_HEAD.size, self.selection_proof)
        return head + self.aggregate.encode()

    @classmethod
    def decode(cls, version: int, raw: bytes) -> Self:
        """Read the SSZ bytes of a beacon chain fork's form. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("AggregateAndProof", raw, _PROOF_HEAD.size)
        index, offset, proof = _PROOF_HEAD.unpack_from(raw)
        ssz.check_offsets("AggregateAndProof", (offset,), _PROOF_HEAD.size, len(raw))
        return cls(ValidatorIndex(index), decode_attestation(version, raw[offset:]), Signature(proof))

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.aggregator_index), self.aggregate.hash_tree_root(), ssz.bytes_root(self.selection_proof)
        )


@dataclass(frozen=True, slots=True)
class SignedAggregateAndProof:
    """What an aggregator submits."""

    message: AggregateAndProof
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SignedAggregateAndProof.signature", self.signature, 96)
        return _SIGNED_PROOF_HEAD.pack(_SIGNED_PROOF_HEAD.size, self.signature) + self.message.encode()

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(self.message.hash_tree_root(), ssz.bytes_root(self.signature))
