"""What validators sign once in a while: builder registrations, exits, deposits (PROTOCOL 3.5)."""

import struct
from dataclasses import dataclass

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Signature, ValidatorIndex


@dataclass(frozen=True, slots=True)
class ValidatorRegistration:
    """A validator's wishes for blocks that builders make for it (builder specification, version 1); 84 bytes."""

    fee_recipient: bytes
    """Execution address, 20 bytes."""
    gas_limit: int
    timestamp: int
    """Seconds of Unix time."""
    pubkey: PublicKey
    """48 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("ValidatorRegistration.fee_recipient", self.fee_recipient, 20)
        ssz.check_fixed("ValidatorRegistration.pubkey", self.pubkey, 48)
        return struct.pack("<20sQQ48s", self.fee_recipient, self.gas_limit, self.timestamp, self.pubkey)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.bytes_root(self.fee_recipient),
            ssz.u64_root(self.gas_limit),
            ssz.u64_root(self.timestamp),
            ssz.bytes_root(self.pubkey),
        )


@dataclass(frozen=True, slots=True)
class VoluntaryExit:
    """A validator's wish to leave; 16 bytes."""

    epoch: Epoch
    """The exit counts from here on."""
    validator_index: ValidatorIndex

    def encode(self) -> bytes:
        """The SSZ bytes."""
        return struct.pack("<QQ", self.epoch, self.validator_index)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(ssz.u64_root(self.epoch), ssz.u64_root(self.validator_index))


@dataclass(frozen=True, slots=True)
class SignedValidatorRegistration:
    """What is submitted to the beacon node for its builders; 180 bytes."""

    message: ValidatorRegistration
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SignedValidatorRegistration.signature", self.signature, 96)
        return self.message.encode() + self.signature

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(self.message.hash_tree_root(), ssz.bytes_root(self.signature))


@dataclass(frozen=True, slots=True)
class SignedVoluntaryExit:
    """What is submitted to the beacon node; 112 bytes."""

    message: VoluntaryExit
    signature: Signature
    """96 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("SignedVoluntaryExit.signature", self.signature, 96)
        return self.message.encode() + self.signature

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(self.message.hash_tree_root(), ssz.bytes_root(self.signature))


@dataclass(frozen=True, slots=True)
class DepositMessage:
    """What a validator's key signs for its deposit; 88 bytes."""

    pubkey: PublicKey
    """48 bytes."""
    withdrawal_credentials: bytes
    """32 bytes."""
    amount: int
    """Gwei."""

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.bytes_root(self.pubkey), ssz.bytes_root(self.withdrawal_credentials), ssz.u64_root(self.amount)
        )
