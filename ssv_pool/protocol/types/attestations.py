"""The beacon chain's attestations, single and aggregated, and proofs of aggregation (PROTOCOL 1.10, 3.3)."""

import struct
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.beacon import AttestationData
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL, Preset
from ssv_pool.protocol.types.primitives import Root, Signature, ValidatorIndex
from ssv_pool.protocol.types.versions import DataVersion

MAX_COMMITTEE_BITS = 2048
"""Most validators of a beacon committee, in every preset."""

_PHASE0_HEAD = struct.Struct("<I128s96s")
_ELECTRA_FIXED = 4 + 128 + 96
"""Length of an Electra attestation's fixed part without the committee bits, whose number the preset says."""
_COMMITTEE_BYTES = {preset.committee_bytes for preset in (MAINNET, MINIMAL)}
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

    def hash_tree_root(self, preset: Preset = MAINNET) -> Root:  # noqa: ARG002  one call for both forms
        """SSZ root, 32 bytes; the same in every preset."""
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
    """Which committees: 64 bits in 8 bytes, in the minimal preset 4 bits in 1 byte."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("ElectraAttestation.signature", self.signature, 96)
        if len(self.committee_bits) not in _COMMITTEE_BYTES:
            raise ValueError(
                f"ElectraAttestation.committee_bits is {len(self.committee_bits)} bytes long, expected 1 or 8"
            )
        offset = _ELECTRA_FIXED + len(self.committee_bits)
        head = _PHASE0_HEAD.pack(offset, self.data.encode(), self.signature)
        return b"".join((head, self.committee_bits, self.aggregation_bits))

    @classmethod
    def decode(cls, raw: bytes, preset: Preset = MAINNET) -> Self:
        """Read the SSZ bytes of a preset's form. Raises ProtocolError (UNMARSHAL_SSZ)."""
        size = _ELECTRA_FIXED + preset.committee_bytes
        ssz.check_size("ElectraAttestation", raw, size)
        offset, data, signature = _PHASE0_HEAD.unpack_from(raw)
        ssz.check_offsets("ElectraAttestation", (offset,), size, len(raw))
        committees = ssz.check_bitvector(
            "ElectraAttestation.committee_bits", raw[_ELECTRA_FIXED:size], preset.max_committees_per_slot
        )
        bits = ssz.check_bitlist("ElectraAttestation.aggregation_bits", raw[offset:], preset.max_attesters_per_slot)
        return cls(bits, AttestationData.decode(data), signature, committees)

    def hash_tree_root(self, preset: Preset = MAINNET) -> Root:
        """SSZ root, 32 bytes; it depends on the preset's limit of the aggregation bits."""
        return ssz.container_root(
            ssz.bitlist_root(self.aggregation_bits, preset.max_attesters_per_slot),
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


def decode_attestation(version: int, raw: bytes, preset: Preset = MAINNET) -> AnyAttestation:
    """Read an aggregate of a beacon chain fork: the Electra form from there on, whatever the number. Raises code 1."""
    return ElectraAttestation.decode(raw, preset) if version >= DataVersion.ELECTRA else Attestation.decode(raw)


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
    def decode(cls, version: int, raw: bytes, preset: Preset = MAINNET) -> Self:
        """Read the SSZ bytes of a beacon chain fork's and a preset's form. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("AggregateAndProof", raw, _PROOF_HEAD.size)
        index, offset, proof = _PROOF_HEAD.unpack_from(raw)
        ssz.check_offsets("AggregateAndProof", (offset,), _PROOF_HEAD.size, len(raw))
        return cls(ValidatorIndex(index), decode_attestation(version, raw[offset:], preset), Signature(proof))

    def hash_tree_root(self, preset: Preset = MAINNET) -> Root:
        """SSZ root in a preset, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.aggregator_index),
            self.aggregate.hash_tree_root(preset),
            ssz.bytes_root(self.selection_proof),
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

    def hash_tree_root(self, preset: Preset = MAINNET) -> Root:
        """SSZ root in a preset, 32 bytes."""
        return ssz.container_root(self.message.hash_tree_root(preset), ssz.bytes_root(self.signature))
