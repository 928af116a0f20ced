"""The values that validators' runners agree on: proposer consensus data (PROTOCOL 1.10).

Alan calls the container ValidatorConsensusData and uses it for aggregators and sync committee contributors as well; the
layout is one. What differs is what ``validate`` lets pass, so there are two of them.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.attestations import AggregateAndProof
from ssv_pool.protocol.types.blocks import DecodedBlock, decode_block
from ssv_pool.protocol.types.contributions import Contributions
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.primitives import Root
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.protocol.types.versions import DataVersion, check_version

__all__ = [
    "MAX_DATA_SSZ_BYTES",
    "DataVersion",
    "DecodedBlock",
    "ProposerConsensusData",
    "aggregate_of",
    "block_of",
    "contributions_of",
]

MAX_DATA_SSZ_BYTES = 8_388_608
"""Limit of the beacon chain object in consensus data."""

_HEAD = struct.Struct("<IQI")


@dataclass(frozen=True, slots=True)
class ProposerConsensusData:
    """A duty and the beacon chain object that the operators are to sign for it."""

    duty: ValidatorDuty
    version: int
    """A DataVersion; a number that is none of them decodes, and what reads the object refuses it."""
    data_ssz: bytes
    """SSZ of a block (blinded or full), in Alan also of an aggregate and proof or Alan's bytes of contributions."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        duty = self.duty.encode()
        return b"".join((_HEAD.pack(_HEAD.size, self.version, _HEAD.size + len(duty)), duty, self.data_ssz))

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes; the object stays encoded. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("ProposerConsensusData", raw, _HEAD.size)
        first, version, second = _HEAD.unpack_from(raw)
        ssz.check_offsets("ProposerConsensusData", (first, second), _HEAD.size, len(raw))
        ssz.check_limit("ProposerConsensusData.data_ssz", len(raw) - second, MAX_DATA_SSZ_BYTES)
        return cls(ValidatorDuty.decode(raw[first:second]), version, raw[second:])

    def validate_boole(self, preset: Preset = MAINNET) -> None:
        """Raises ProtocolError: 10 where the duty is no proposal, then 11 or 1 where the block does not decode."""
        if self.duty.type != BeaconRole.PROPOSER:
            raise _unknown_role(self.duty)
        block_of(self, preset)

    def validate_alan(self, preset: Preset = MAINNET) -> None:
        """Raises ProtocolError: the duty's type has no consensus data (its code), or the object does not decode."""
        reader = _ALAN_READERS.get(self.duty.type)
        if reader is not None:
            reader(self, preset)
            return
        if self.duty.type == BeaconRole.VALIDATOR_REGISTRATION:
            raise ProtocolError(
                "validator registration has no consensus data", ErrorCode.VALIDATOR_REGISTRATION_NO_CONSENSUS_DATA
            )
        if self.duty.type == BeaconRole.VOLUNTARY_EXIT:
            raise ProtocolError("voluntary exit has no consensus data", ErrorCode.VALIDATOR_EXIT_NO_CONSENSUS_DATA)
        raise _unknown_role(self.duty)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            self.duty.hash_tree_root(),
            ssz.u64_root(self.version),
            ssz.byte_list_root(self.data_ssz, MAX_DATA_SSZ_BYTES),
        )


def block_of(consensus_data: ProposerConsensusData, preset: Preset = MAINNET) -> DecodedBlock:
    """The block in a proposer's consensus data. Raises ProtocolError: 11 for an unknown version, else 1."""
    return decode_block(consensus_data.version, consensus_data.data_ssz, preset)


def aggregate_of(consensus_data: ProposerConsensusData, preset: Preset = MAINNET) -> AggregateAndProof:
    """The aggregate in an Alan aggregator's consensus data.

    Raises:
        ProtocolError: without code for an unknown version, UNMARSHAL_SSZ where it does not decode.
    """
    return AggregateAndProof.decode(check_version(consensus_data.version), consensus_data.data_ssz, preset)


def contributions_of(consensus_data: ProposerConsensusData) -> Contributions:
    """The contributions in an Alan contributor's consensus data. Raises ProtocolError (UNMARSHAL_SSZ)."""
    return Contributions.decode(consensus_data.data_ssz)


def _unknown_role(duty: ValidatorDuty) -> ProtocolError:
    return ProtocolError(f"consensus data for a duty of type {duty.type}", ErrorCode.UNKNOWN_DUTY_ROLE_DATA)


_ALAN_READERS: Mapping[int, Callable[[ProposerConsensusData, Preset], object]] = MappingProxyType(
    {
        BeaconRole.PROPOSER: block_of,
        BeaconRole.AGGREGATOR: aggregate_of,
        BeaconRole.SYNC_COMMITTEE_CONTRIBUTION: lambda data, _: contributions_of(data),
    }
)
