"""Duties (PROTOCOL 1.9)."""

import struct
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole

MAX_SYNC_COMMITTEE_INDICES = 13
"""List limit of a duty's positions in the sync committee."""

_HEAD = struct.Struct("<Q48s6QI")
_KNOWN_TYPES = frozenset(map(int, BeaconRole)) - {int(BeaconRole.UNKNOWN)}


@dataclass(frozen=True, slots=True)
class ValidatorDuty:
    """One validator's duty in one slot."""

    type: int
    """A BeaconRole; a number that is none of them decodes and is refused by ``validate``."""
    pubkey: PublicKey
    """The validator's public key, 48 bytes."""
    slot: Slot
    validator_index: ValidatorIndex
    committee_index: int = 0
    """Index of the validator's beacon committee in the slot."""
    committee_length: int = 0
    """Number of validators in that beacon committee."""
    committees_at_slot: int = 0
    """Number of beacon committees in the slot."""
    validator_committee_index: int = 0
    """The validator's place in its beacon committee."""
    validator_sync_committee_indices: tuple[int, ...] = ()
    """The validator's places in the sync committee."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``pubkey`` is not 48 bytes long."""
        ssz.check_fixed("ValidatorDuty.pubkey", self.pubkey, 48)
        indices = self.validator_sync_committee_indices
        head = _HEAD.pack(
            self.type,
            self.pubkey,
            self.slot,
            self.validator_index,
            self.committee_index,
            self.committee_length,
            self.committees_at_slot,
            self.validator_committee_index,
            _HEAD.size,
        )
        return head + struct.pack(f"<{len(indices)}Q", *indices)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("ValidatorDuty", raw, _HEAD.size)
        type_, pubkey, slot, index, committee, length, count, place, offset = _HEAD.unpack_from(raw)
        if offset != _HEAD.size:
            raise ssz.undecodable("ValidatorDuty", f"first offset is {offset}, expected {_HEAD.size}")
        indices = ssz.decode_u64_list(
            "ValidatorDuty.validator_sync_committee_indices", raw[offset:], MAX_SYNC_COMMITTEE_INDICES
        )
        return cls(type_, pubkey, slot, index, committee, length, count, place, indices)

    def validate(self) -> None:
        """Raises ProtocolError (91): unknown type, zero key, or a place outside the beacon committee. Boole only."""
        problem = None
        if self.type not in _KNOWN_TYPES:
            problem = f"type {self.type}, expected 0 to 6"
        elif not any(self.pubkey):
            problem = "a zero public key"
        elif self.type in (BeaconRole.ATTESTER, BeaconRole.AGGREGATOR):
            if self.committee_length == 0:
                problem = "beacon committee length 0, expected 1 or more"
            elif self.validator_committee_index >= self.committee_length:
                place = f"place {self.validator_committee_index} in a beacon committee of {self.committee_length}"
                problem = f"{place}, expected a lower place"
        if problem is not None:
            raise ProtocolError(
                f"duty of validator {self.validator_index} has {problem}", ErrorCode.INVALID_VALIDATOR_DUTY
            )

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.type),
            ssz.bytes_root(self.pubkey),
            ssz.u64_root(self.slot),
            ssz.u64_root(self.validator_index),
            ssz.u64_root(self.committee_index),
            ssz.u64_root(self.committee_length),
            ssz.u64_root(self.committees_at_slot),
            ssz.u64_root(self.validator_committee_index),
            ssz.u64_list_root(self.validator_sync_committee_indices, MAX_SYNC_COMMITTEE_INDICES),
        )


@dataclass(frozen=True, slots=True)
class CommitteeDuty:
    """The attester and sync committee duties of a committee's validators in one slot. Never on the wire."""

    slot: Slot
    validator_duties: tuple[ValidatorDuty, ...]

    def validate(self) -> None:
        """Raises ProtocolError: no duties (24); then for each another slot (10), another type (51), invalid (91)."""
        if not self.validator_duties:
            raise ProtocolError(
                f"committee duty of slot {self.slot} has no validator duties", ErrorCode.NO_BEACON_DUTIES
            )
        for duty in self.validator_duties:
            if duty.slot != self.slot:
                raise ProtocolError(
                    f"duty of validator {duty.validator_index} is of slot {duty.slot}, expected {self.slot}",
                    ErrorCode.UNKNOWN_DUTY_ROLE_DATA,
                )
            if duty.type not in (BeaconRole.ATTESTER, BeaconRole.SYNC_COMMITTEE):
                raise ProtocolError(
                    f"duty of validator {duty.validator_index} has type {duty.type}, "
                    f"expected attester or sync committee",
                    ErrorCode.WRONG_BEACON_ROLE_TYPE,
                )
            duty.validate()
