"""The bytes with which a validator is registered: its owner's proof, the share public keys, the encrypted shares.

The registry contract passes ``shares`` through unread, so every reader checks them for itself. Layout, in the order of
the operator ids: signature (96) ‖ n share public keys (48 each) ‖ n encrypted shares (256 each).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from ssv_pool.crypto import bls
from ssv_pool.crypto.bls import PointG1
from ssv_pool.crypto.operator_keys import ENCRYPTED_SHARE_SIZE
from ssv_pool.crypto.shamir import threshold_of, weights_at_zero
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey, Root, Signature


class SharesDataError(SsvPoolError, ValueError):
    """Shares of a length that does not fit the number of operators."""


@dataclass(frozen=True, slots=True)
class SharesData:
    """The ``shares`` argument of a validator's registration, taken apart."""

    signature: Signature
    """The validator key's signature over owner and nonce, 96 bytes."""
    share_public_keys: tuple[PublicKey, ...]
    """The operators' share public keys, 48 bytes each, in the order of the operator ids."""
    encrypted_shares: tuple[bytes, ...]
    """The operators' encrypted shares, 256 bytes each, in the same order."""

    @staticmethod
    def size(operators: int) -> int:
        """Length in bytes for a number of operators."""
        return bls.SIGNATURE_SIZE + operators * (bls.PUBLIC_KEY_SIZE + ENCRYPTED_SHARE_SIZE)

    @classmethod
    def decode(cls, raw: bytes, operators: int) -> "SharesData":
        """Take the bytes apart; looks at the length only. Raises SharesDataError."""
        if len(raw) != cls.size(operators):
            raise SharesDataError(f"shares: {len(raw)} bytes, expected {cls.size(operators)} for {operators} operators")
        keys = bls.SIGNATURE_SIZE
        shares = keys + operators * bls.PUBLIC_KEY_SIZE
        return cls(
            Signature(raw[:keys]),
            tuple(PublicKey(raw[at : at + bls.PUBLIC_KEY_SIZE]) for at in range(keys, shares, bls.PUBLIC_KEY_SIZE)),
            tuple(raw[at : at + ENCRYPTED_SHARE_SIZE] for at in range(shares, len(raw), ENCRYPTED_SHARE_SIZE)),
        )

    def encode(self) -> bytes:
        """The bytes for the registry contract."""
        return b"".join((self.signature, *self.share_public_keys, *self.encrypted_shares))


def registration_root(owner: str | bytes, nonce: int) -> Root:
    """What the validator key signs at registration: keccak256 of ``owner:nonce``, the owner in EIP-55 mixed case.

    Args:
        owner: the owner's address, as 20 bytes or hexadecimal text.
        nonce: the number of registrations the owner sent before this one.

    Returns:
        32 bytes, signed as they are, without a domain.
    """
    return Root(keccak(text=f"{to_checksum_address(owner)}:{nonce}"))


def shares_make_up(public_key: bytes, operator_ids: Sequence[OperatorId], share_public_keys: Sequence[bytes]) -> bool:
    """Whether any quorum of the shares makes up the validator's key, judged by the public keys alone.

    The registry does not ask for it, but a validator whose shares do not fit can never sign.
    """
    threshold = threshold_of(len(operator_ids))
    try:
        expected = bls.public_key_point(public_key)
        points = [bls.public_key_point(key) for key in share_public_keys]
    except bls.BlsError:
        return False
    # Once the first `threshold` shares lie on a polynomial through the key, each further share lies on the same one
    # exactly when it can take the place of the last of them.
    base = range(threshold - 1)
    return all(
        _key_at_zero([(operator_ids[i], points[i]) for i in (*base, last)]) == expected
        for last in range(threshold - 1, len(points))
    )


def _key_at_zero(shares: Sequence[tuple[OperatorId, PointG1]]) -> PointG1:
    weights = weights_at_zero(tuple(operator_id for operator_id, _ in shares)).modular()
    total = shares[0][1].scalar_mul(weights[0])
    for (_, point), weight in zip(shares[1:], weights[1:], strict=True):
        total = total + point.scalar_mul(weight)
    return total
