"""Signatures that cost next to nothing: hashes in place of RSA and BLS, behind the same ports.

Nobody in a simulation makes a signature with a key that is not its own, so nothing more is asked of them than that they
depend on key and message. The slashing database of a stand-in signer has the real rules.
"""

import functools
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha256

from ssv_pool.protocol.ports import Reconstruction, SlashableError
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.primitives import (
    DomainType,
    Epoch,
    OperatorId,
    PublicKey,
    Root,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.share import CommitteeMember, Operator, Share, ShareMember

DOMAIN = DomainType(bytes.fromhex("00000301"))
"""The simulated SSV network."""


@functools.cache
def operator_key(operator_id: int) -> bytes:
    """An operator's public key: 459 bytes."""
    return (b"operator %d" % operator_id).ljust(459, b".")


@functools.cache
def validator_key(index: int) -> PublicKey:
    """A validator's public key: 48 bytes."""
    return PublicKey(blake2b(b"validator %d" % index, digest_size=48).digest())


@functools.cache
def share_key(validator: PublicKey, operator_id: int) -> PublicKey:
    """The public key of an operator's share of a validator key: 48 bytes."""
    return PublicKey(blake2b(validator + operator_id.to_bytes(8, "little"), digest_size=48).digest())


def share_signature(share: bytes, root: bytes) -> Signature:
    """What the holder of a share signs: 96 bytes."""
    return Signature(sha256(share + root).digest() * 3)


def whole_signature(validator: bytes, root: bytes) -> Signature:
    """What enough partial signatures rebuild: 96 bytes."""
    return Signature(sha256(b"whole" + validator + root).digest() * 3)


def operator_signature(public_key: bytes, message: bytes) -> bytes:
    """What an operator signs: 256 bytes."""
    return sha256(public_key[:16] + message).digest() * 8


class StandInKeys:
    """An operator's keys (port OperatorKeys)."""

    __slots__ = ("public_key",)

    def __init__(self, operator_id: int) -> None:
        self.public_key = operator_key(operator_id)

    def sign(self, message: bytes) -> bytes:
        """Sign as this operator."""
        return operator_signature(self.public_key, message)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Check anybody's signature."""
        return signature == operator_signature(public_key, message)


OnSigned = Callable[[PublicKey, Epoch, Epoch, Root], None]
"""Told of every attestation signed: share, source, target, signing root."""


class StandInSigner:
    """An operator's shares (port ShareSigner). It outlives crashes, as a disk does."""

    __slots__ = ("_history", "_on_signed", "_slashing_rules")

    def __init__(self, on_signed: OnSigned, *, slashing_rules: bool = True) -> None:
        """Make a signer that has signed nothing; a Byzantine one has no slashing rules."""
        self._history: dict[PublicKey, dict[Epoch, tuple[Epoch, Root]]] = {}
        self._on_signed = on_signed
        self._slashing_rules = slashing_rules

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        """Those for which an attestation with an unknown root would be slashable."""
        return [share for share in shares if self._slashable(share, source, target, None)]

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        """Record, then sign. Raises SlashableError."""
        for share, root in zip(shares, roots, strict=True):
            if self._slashable(share, source, target, root):
                raise SlashableError(f"share 0x{share.hex()}: slashable attestation from {source} to {target}")
        for share, root in zip(shares, roots, strict=True):
            self._history.setdefault(share, {})[target] = source, root
            self._on_signed(share, source, target, root)
        return [share_signature(share, root) for share, root in zip(shares, roots, strict=True)]

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:  # noqa: ARG002
        """No blocks are proposed here."""
        return False

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:  # noqa: ARG002
        """Sign a block."""
        return share_signature(share, root)

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        """Sign what cannot be slashed."""
        return [share_signature(share, root) for share, root in zip(shares, roots, strict=True)]

    def _slashable(self, share: PublicKey, source: Epoch, target: Epoch, root: Root | None) -> bool:
        if not self._slashing_rules:
            return False
        for known_target, (known_source, known_root) in self._history.get(share, {}).items():
            if known_target == target:
                if known_root != root or known_source != source:
                    return True
            elif (known_source > source and known_target < target) or (known_source < source and known_target > target):
                return True
        return False


class StandInThreshold:
    """Rebuilding signatures (port ThresholdScheme): right only with a quorum of right parts, as interpolation is."""

    __slots__ = ("_quorum",)

    def __init__(self, quorum: int) -> None:
        self._quorum = quorum

    def reconstruct(self, items: Sequence[Reconstruction]) -> list[Signature | None]:
        """Whole signatures, None where too few or wrong parts are given."""
        return [
            whole_signature(item.public_key, item.root)
            if len(item.partials) >= self._quorum
            and all(
                partial == share_signature(share_key(item.public_key, operator_id), item.root)
                for operator_id, partial in item.partials.items()
            )
            else None
            for item in items
        ]

    def verify(self, public_key: PublicKey, root: Root, signature: Signature) -> bool:
        """Check the signature of a share."""
        return signature == share_signature(public_key, root)

    def verify_many(self, items: Sequence[tuple[PublicKey, Root, Signature]]) -> list[bool]:
        """Check many signatures of shares."""
        return [signature == share_signature(public_key, root) for public_key, root, signature in items]


@functools.cache
def make_member(size: int, own: int) -> CommitteeMember:
    """Operator ``own`` in the committee of operators 1 to ``size``."""
    ids = tuple(map(OperatorId, range(1, size + 1)))
    return CommitteeMember(
        operator_id=OperatorId(own),
        committee_id=committee_id(ids),
        operator_pubkey=operator_key(own),
        faulty_nodes=(size - 1) // 3,
        committee=tuple(Operator(operator_id, operator_key(operator_id)) for operator_id in ids),
        domain_type=DOMAIN,
    )


@functools.cache
def make_shares(size: int, own: int, validators: int) -> dict[ValidatorIndex, Share]:
    """The shares of operator ``own`` in validators 1 to ``validators``."""
    shares = {}
    for number in range(1, validators + 1):
        index, key = ValidatorIndex(number), validator_key(number)
        members = tuple(ShareMember(share_key(key, operator), OperatorId(operator)) for operator in range(1, size + 1))
        shares[index] = Share(index, key, share_key(key, own), members, DOMAIN)
    return shares
