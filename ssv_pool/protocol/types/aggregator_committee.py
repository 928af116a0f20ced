"""Boole's aggregator committee: its duty, and the value it agrees on (PROTOCOL 1.9, 1.11)."""

import struct
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.attestations import (
    AggregateAndProof,
    AnyAttestation,
    decode_attestation,
)
from ssv_pool.protocol.types.contributions import (
    CONTRIBUTION_BYTES,
    ContributionAndProof,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.primitives import Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.protocol.types.versions import check_version

MAX_AGGREGATORS = 3000
"""Most aggregators in one value."""
MAX_AGGREGATES = 64
"""Most aggregated attestations: one a beacon committee of the slot."""
MAX_ATTESTATION_BYTES = 131_308
"""Limit of one encoded attestation."""
MAX_CONTRIBUTORS = 2048
"""Most contributors: 512 sync committee members in 4 subcommittees each."""
MAX_SUBCOMMITTEES = 4
"""Most contributions: one a subcommittee."""

_ASSIGNED = struct.Struct("<Q96sQ")
_HEAD = struct.Struct("<Q5I")


@dataclass(frozen=True, slots=True)
class AggregatorCommitteeDuty:
    """The aggregator and contribution duties of a committee's validators in one slot. Never on the wire."""

    slot: Slot
    validator_duties: tuple[ValidatorDuty, ...]

    def validate(self, known: Collection[ValidatorIndex]) -> None:
        """Raises ProtocolError (82): a duty of another slot or type, or of a validator not among the ``known``."""
        for duty in self.validator_duties:
            problem = None
            if duty.slot != self.slot:
                problem = f"is of slot {duty.slot}, expected {self.slot}"
            elif duty.type not in (BeaconRole.AGGREGATOR, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION):
                problem = f"has type {duty.type}, expected aggregator or contribution"
            elif duty.validator_index not in known:
                problem = "is not this committee's"
            if problem is not None:
                raise ProtocolError(
                    f"duty of validator {duty.validator_index} {problem}", ErrorCode.INVALID_AGGREGATOR_COMMITTEE_DUTY
                )


@dataclass(frozen=True, slots=True)
class AssignedAggregator:
    """A validator that was chosen to aggregate; 112 bytes."""

    validator_index: ValidatorIndex
    selection_proof: Signature
    """96 bytes."""
    committee_index: int
    """The beacon committee; for a sync committee contributor the subcommittee."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``selection_proof`` is not 96 bytes long."""
        ssz.check_fixed("AssignedAggregator.selection_proof", self.selection_proof, 96)
        return _ASSIGNED.pack(self.validator_index, self.selection_proof, self.committee_index)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        if len(raw) != _ASSIGNED.size:
            raise ssz.undecodable("AssignedAggregator", f"{len(raw)} bytes, expected {_ASSIGNED.size}")
        return cls(*_ASSIGNED.unpack(raw))

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.validator_index),
            ssz.bytes_root(self.selection_proof),
            ssz.u64_root(self.committee_index),
        )


@dataclass(frozen=True, slots=True)
class AggregatorCommitteeConsensusData:
    """What an aggregator committee agrees on: who aggregates, and what."""

    version: int
    """A DataVersion; any number decodes and validates, from Electra's on the attestations have Electra's form."""
    aggregators: tuple[AssignedAggregator, ...] = ()
    aggregator_committee_indexes: tuple[int, ...] = ()
    """The beacon committees of ``aggregated_attestations``, one each."""
    aggregated_attestations: tuple[bytes, ...] = ()
    """SSZ of the attestations."""
    contributors: tuple[AssignedAggregator, ...] = ()
    sync_committee_contributions: tuple[SyncCommitteeContribution, ...] = ()

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        parts = [
            b"".join(item.encode() for item in self.aggregators),
            struct.pack(f"<{len(self.aggregator_committee_indexes)}Q", *self.aggregator_committee_indexes),
            ssz.encode_byte_lists(self.aggregated_attestations),
            b"".join(item.encode() for item in self.contributors),
            b"".join(item.encode() for item in self.sync_committee_contributions),
        ]
        offsets = [_HEAD.size]
        for part in parts[:-1]:
            offsets.append(offsets[-1] + len(part))
        return b"".join((_HEAD.pack(self.version, *offsets), *parts))

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes; the attestations stay encoded. Raises ProtocolError (UNMARSHAL_SSZ)."""
        name = "AggregatorCommitteeConsensusData"
        ssz.check_size(name, raw, _HEAD.size)
        version, *offsets = _HEAD.unpack_from(raw)
        ssz.check_offsets(name, offsets, _HEAD.size, len(raw))
        aggregators, indexes, attestations, contributors, contributions = (
            raw[start:end] for start, end in zip(offsets, [*offsets[1:], len(raw)], strict=True)
        )
        return cls(
            version,
            _assigned(f"{name}.aggregators", aggregators, MAX_AGGREGATORS),
            ssz.decode_u64_list(f"{name}.aggregator_committee_indexes", indexes, MAX_AGGREGATES),
            ssz.decode_byte_lists(
                f"{name}.aggregated_attestations", attestations, MAX_AGGREGATES, MAX_ATTESTATION_BYTES
            ),
            _assigned(f"{name}.contributors", contributors, MAX_CONTRIBUTORS),
            tuple(
                SyncCommitteeContribution.decode(part)
                for part in ssz.split_vectors(
                    f"{name}.sync_committee_contributions", contributions, CONTRIBUTION_BYTES, MAX_SUBCOMMITTEES
                )
            ),
        )

    def validate(self, preset: Preset = MAINNET) -> None:
        """Check that aggregators and aggregates belong to one another, and that the attestations decode.

        Raises:
            ProtocolError: 78, 71, 74, 72, 73, 84, 76, 75 or 77, in this order of checks.
        """
        if not self.aggregators and not self.contributors:
            raise ProtocolError(
                "aggregator committee data name no validator", ErrorCode.AGG_COMM_CONSENSUS_DATA_NO_VALIDATOR
            )
        self._validate_aggregators(preset)
        self._validate_contributors()

    def _validate_aggregators(self, preset: Preset) -> None:
        listed = self.aggregator_committee_indexes
        if len(listed) != len(self.aggregated_attestations):
            raise ProtocolError(
                f"{len(listed)} beacon committees and {len(self.aggregated_attestations)} attestations, "
                "expected as many",
                ErrorCode.AGG_COMM_AGG_COMM_IDX_CNT_MISMATCH,
            )
        _check_matching(
            "beacon committee",
            listed,
            [item.committee_index for item in self.aggregators],
            repeated=ErrorCode.AGG_COMM_DUPLICATED_COMM_IDX,
            missing=ErrorCode.AGG_COMM_COMM_IDX_MISMATCH,
            unused=ErrorCode.AGG_COMM_UNUSED_COMM_IDX,
        )
        for raw in self.aggregated_attestations:
            try:
                decode_attestation(self.version, raw, preset)
            except ProtocolError as error:
                raise ProtocolError(
                    f"an aggregated attestation does not decode: {error}", ErrorCode.AGG_COMM_ATTESTATION_DECODING
                ) from error

    def _validate_contributors(self) -> None:
        _check_matching(
            "subcommittee",
            [item.subcommittee_index for item in self.sync_committee_contributions],
            [item.committee_index for item in self.contributors],
            repeated=ErrorCode.AGG_COMM_SCC_SUBNET_DUPLICATE,
            missing=ErrorCode.AGG_COMM_SUBNET_NOT_IN_SC_SUBNETS,
            unused=ErrorCode.AGG_COMM_UNUSED_SUBNET,
        )

    def aggregate_and_proofs(self, preset: Preset = MAINNET) -> tuple[AggregateAndProof, ...]:
        """What each aggregator is to sign, in the order of ``aggregators``.

        Raises:
            ProtocolError: 72 for a beacon committee without attestation, 11 for a version without rule,
                UNMARSHAL_SSZ for an attestation that does not decode.
        """
        raws = dict(zip(self.aggregator_committee_indexes, self.aggregated_attestations, strict=False))
        decoded: dict[int, AnyAttestation] = {}
        proofs = []
        for aggregator in self.aggregators:
            index = aggregator.committee_index
            if index not in raws:
                raise ProtocolError(f"no attestation of beacon committee {index}", ErrorCode.AGG_COMM_COMM_IDX_MISMATCH)
            if index not in decoded:
                version = check_version(self.version, ErrorCode.UNKNOWN_BLOCK_VERSION)
                decoded[index] = decode_attestation(version, raws[index], preset)
            proofs.append(AggregateAndProof(aggregator.validator_index, decoded[index], aggregator.selection_proof))
        return tuple(proofs)

    def contribution_and_proofs(self) -> tuple[ContributionAndProof, ...]:
        """What each contributor is to sign, in the order of ``contributors``. Raises ProtocolError (75)."""
        contributions = {item.subcommittee_index: item for item in reversed(self.sync_committee_contributions)}
        proofs = []
        for contributor in self.contributors:
            contribution = contributions.get(contributor.committee_index)
            if contribution is None:
                raise ProtocolError(
                    f"no contribution of subcommittee {contributor.committee_index}",
                    ErrorCode.AGG_COMM_SUBNET_NOT_IN_SC_SUBNETS,
                )
            proofs.append(ContributionAndProof(contributor.validator_index, contribution, contributor.selection_proof))
        return tuple(proofs)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.version),
            ssz.list_root([item.hash_tree_root() for item in self.aggregators], MAX_AGGREGATORS),
            ssz.u64_list_root(self.aggregator_committee_indexes, MAX_AGGREGATES),
            ssz.byte_lists_root(self.aggregated_attestations, MAX_AGGREGATES, MAX_ATTESTATION_BYTES),
            ssz.list_root([item.hash_tree_root() for item in self.contributors], MAX_CONTRIBUTORS),
            ssz.list_root([item.hash_tree_root() for item in self.sync_committee_contributions], MAX_SUBCOMMITTEES),
        )


def _assigned(name: str, raw: bytes, limit: int) -> tuple[AssignedAggregator, ...]:
    return tuple(map(AssignedAggregator.decode, ssz.split_vectors(name, raw, _ASSIGNED.size, limit)))


def _check_matching(
    name: str,
    listed: Sequence[int],
    wanted: Sequence[int],
    *,
    repeated: ErrorCode,
    missing: ErrorCode,
    unused: ErrorCode,
) -> None:
    """Each listed once, each wanted one listed, each listed one wanted."""
    for index, count in Counter(listed).items():
        if count > 1:
            raise ProtocolError(f"{name} {index} is listed {count} times, expected once", repeated)
    for index in wanted:
        if index not in listed:
            raise ProtocolError(f"{name} {index} has an aggregator but is not listed", missing)
    for index in listed:
        if index not in wanted:
            raise ProtocolError(f"{name} {index} is listed but has no aggregator", unused)
