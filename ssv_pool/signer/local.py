"""Signing with share keys held in this process's memory: record, then sign, then let the signature out."""

import threading
from collections.abc import Iterable, Sequence

from ssv_pool.crypto import bls
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Signature, Slot
from ssv_pool.signer.slashing import SlashingProtection


class UnknownShareError(SsvPoolError):
    """A signature was asked of a share key that is not held here."""


class LocalSigner:
    """Implements `ssv_pool.protocol.ports.ShareSigner` with share keys in memory.

    Usable from several threads; nothing of the secrets shows in its repr, its errors or a pickle.
    """

    __slots__ = ("_guard", "_protection", "_secrets")

    def __init__(self, protection: SlashingProtection) -> None:
        self._protection = protection
        self._secrets: dict[PublicKey, int] = {}
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"LocalSigner({len(self._secrets)} shares)"

    def __reduce__(self) -> str:
        raise TypeError("share keys are not to be pickled or copied")

    @property
    def shares(self) -> frozenset[PublicKey]:
        """The public keys of the shares held."""
        with self._guard:
            return frozenset(self._secrets)

    def add(self, share: PublicKey, secret: int) -> None:
        """Hold a share key. It signs slashable things only after `raise_protection` (or an import) made it known.

        Raises:
            UnknownShareError: the secret key does not belong to the public key.
        """
        if bls.secret_to_public(secret) != share:
            raise UnknownShareError(f"share 0x{share.hex()}: the secret key given belongs to another public key")
        with self._guard:
            self._secrets[share] = secret

    def remove(self, share: PublicKey) -> None:
        """Forget a share key, if it is held; its slashing protection stays."""
        with self._guard:
            self._secrets.pop(share, None)

    def raise_protection(self, shares: Iterable[PublicKey], source: Epoch, target: Epoch, block_slot: Slot) -> None:
        """Raise the slashing protection of share keys; see `SlashingProtection.raise_to`."""
        self._protection.raise_to(shares, source, target, block_slot)

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        """The share keys of ``shares`` for which an attestation (source, target) must not be signed."""
        return self._protection.slashable_attestations(shares, source, target)

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:
        """Whether a new block of that slot must not be signed with the share key."""
        return self._protection.slashable_block(share, slot)

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        """Record one attestation a share in one transaction, then sign them all.

        Raises:
            SlashableError: one of them is slashable; then none was recorded and none signed.
            UnknownShareError: one of the keys is not held; then none was recorded.
            SlashingProtectionError: the record failed; then none was signed.
        """
        secrets = self._held(shares)
        self._protection.record_attestations(shares, roots, source, target)
        return _sign_all(secrets, roots)

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:
        """Record a block root, then sign it. Raises as `sign_attestations`."""
        secrets = self._held([share])
        self._protection.record_block(share, slot, root)
        return _sign_all(secrets, [root])[0]

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        """Sign roots that cannot be slashed. Raises UnknownShareError.

        Never to be given the signing root of an attestation or a block: it is the caller that knows what a root means.
        """
        return _sign_all(self._held(shares), roots)

    def _held(self, shares: Sequence[PublicKey]) -> list[int]:
        with self._guard:
            try:
                return [self._secrets[share] for share in shares]
            except KeyError:
                missing = next(share for share in shares if share not in self._secrets)
        raise UnknownShareError(f"share 0x{missing.hex()}: not held by this signer")


def _sign_all(secrets: Sequence[int], roots: Sequence[Root]) -> list[Signature]:
    # One root for all validators of a slot means one hash to the curve for all: bls remembers it.
    return [bls.sign(secret, root) for secret, root in zip(secrets, roots, strict=True)]
