"""What readers of the store get: frozen records, free of any session."""

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, OperatorId, PublicKey, ValidatorIndex

SHARE_KEY_BYTES = 48
"""Length of one share public key."""

ENCRYPTED_SHARE_BYTES = 256
"""Length of one encrypted share: one RSA-2048 block."""


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """A registered operator."""

    operator_id: OperatorId
    owner: bytes
    """Address, 20 bytes."""
    public_key: bytes
    """As on chain: ASCII base64 of the RSA key's PEM. Anybody may register anything."""

    @property
    def pem(self) -> bytes | None:
        """The RSA key's PEM (459 bytes for a proper one); None when the registered bytes are not base64."""
        try:
            return base64.b64decode(self.public_key, validate=True)
        except (binascii.Error, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class ValidatorRecord:
    """A registered validator."""

    public_key: PublicKey
    owner: bytes
    """Address, 20 bytes."""
    fee_recipient: bytes
    """Address, 20 bytes; the owner's own unless it set another."""
    operator_ids: tuple[OperatorId, ...]
    """Ascending, as the contract demands."""
    share_public_keys: tuple[PublicKey, ...]
    """In the order of ``operator_ids``; not checked to be points."""
    committee_id: CommitteeId
    cluster_id: bytes
    """keccak256 over owner and operator ids, 32 bytes."""
    liquidated: bool
    registered_block: int
    registered_time: int
    """Timestamp of the block of its registration, seconds since the UNIX epoch."""
    active_since: int
    """Timestamp of the block that registered or last reactivated it: duties begin in the epoch after that."""
    index: ValidatorIndex | None
    """Index in the beacon state; None (as the rest) until the beacon node knows the validator."""
    status: str | None
    """Status by the Beacon API's names, ``active_ongoing`` for example."""
    activation_epoch: Epoch | None
    exit_epoch: Epoch | None

    def share_of(self, operator_id: OperatorId) -> PublicKey | None:
        """The share public key of one operator; None when it is not in the committee."""
        try:
            return self.share_public_keys[self.operator_ids.index(operator_id)]
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class OwnShare:
    """One operator's share of one validator, as encrypted on chain."""

    validator: PublicKey
    share_public_key: PublicKey
    """What the decrypted share must belong to."""
    encrypted: bytes
    """RSA ciphertext, 256 bytes."""


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The registry at one moment."""

    version: int
    """The store's version that this is the state of."""
    block_number: int
    """Last execution block applied; -1 before the first."""
    operators: Mapping[OperatorId, OperatorRecord]
    """Operators registered now. A validator may list one that is gone."""
    validators: tuple[ValidatorRecord, ...]
    """All registered validators, own or not, in the order of their public keys."""

    def operator_with_key(self, public_key: bytes) -> OperatorId | None:
        """The operator that registered ``public_key`` (ASCII base64 of the PEM); None when none did."""
        return next((i for i, record in self.operators.items() if record.public_key == public_key), None)


@dataclass(frozen=True, slots=True)
class ValidatorMetadata:
    """What the beacon node says of one validator."""

    index: ValidatorIndex
    status: str
    activation_epoch: Epoch
    exit_epoch: Epoch


def pack_ids(ids: tuple[OperatorId, ...]) -> bytes:
    """Operator ids as stored: 8 bytes each, big-endian."""
    return struct.pack(f">{len(ids)}Q", *ids)


def unpack_ids(raw: bytes) -> tuple[OperatorId, ...]:
    """The inverse of ``pack_ids``."""
    return struct.unpack(f">{len(raw) // 8}Q", raw)


def split_bytes(raw: bytes, size: int) -> tuple[bytes, ...]:
    """Cut ``raw`` into pieces of ``size`` bytes."""
    return tuple(raw[start : start + size] for start in range(0, len(raw), size))
