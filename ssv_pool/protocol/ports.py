"""What the core asks of the outside while it handles one event: signatures, made and checked.

These are the only calls that leave the core. The node passes real implementations, tests and the simulator cheap ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ssv_pool.protocol.types.primitives import Epoch, OperatorId, PublicKey, Root, Signature, Slot


class SlashableError(Exception):
    """Signing was refused because it could get a validator slashed; the text names share key, found and wanted."""


class OperatorKeys(Protocol):
    """The operators' RSA keys: signs as this operator, checks the others (PKCS#1 v1.5, SHA-256, 256 bytes)."""

    def sign(self, message: bytes) -> bytes:
        """Sign ``message`` (the SSZ encoding of an SSVMessage) with this operator's key; returns 256 bytes."""
        ...

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` over ``message`` is valid under an operator's public key (its PEM, 459 bytes)."""
        ...


class ShareSigner(Protocol):
    """Signs with the validator key shares of this operator. Records before it signs (EIP-3076)."""

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        """The share keys of ``shares`` for which (source, target) must not be attested. Changes nothing."""
        ...

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:
        """Whether a new block of ``slot`` must not be signed with a share key. Changes nothing."""
        ...

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        """Record and then sign one attestation for each share, all in one transaction.

        Args:
            shares: public keys of this operator's shares.
            roots: the signing root for each of them, 32 bytes.
            source: source epoch of all the attestations.
            target: target epoch of all the attestations.

        Raises:
            SlashableError: one of them is slashable; then none was recorded and none signed.
        """
        ...

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:
        """Record and then sign a block root. Raises SlashableError."""
        ...

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        """Sign roots that cannot be slashed (RANDAO, selection proofs, sync messages, registrations, exits)."""
        ...


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """The partial signatures from which one validator's signature is to be rebuilt."""

    public_key: PublicKey
    """The validator's public key, 48 bytes."""
    root: Root
    """The signing root, 32 bytes."""
    partials: Mapping[OperatorId, Signature]
    """Operator id → partial signature (96 bytes), a quorum or more."""


class ThresholdScheme(Protocol):
    """BLS threshold signatures: Lagrange at 0 over all given partial signatures (x = operator id)."""

    def reconstruct(self, items: Sequence[Reconstruction]) -> list[Signature | None]:
        """Rebuild and verify many signatures at once; None where the result does not verify or a point is bad."""
        ...

    def verify(self, public_key: PublicKey, root: Root, signature: Signature) -> bool:
        """Whether one signature over a 32-byte root is valid; a malformed point gives False."""
        ...

    def verify_many(self, items: Sequence[tuple[PublicKey, Root, Signature]]) -> list[bool]:
        """Which of many (public key, 32-byte root, signature) are valid, checked in one batch."""
        ...
