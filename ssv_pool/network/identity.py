"""The node's network key: secp256k1, in a file only its owner can read."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import base58
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ssv_pool.crypto.files import write_private
from ssv_pool.errors import KeyFileError

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Number of points of the curve; a private key is smaller and not zero (SEC 2)."""

PUBLIC_KEY_PREFIX = bytes.fromhex("08021221")
"""libp2p's protobuf wrapping of a secp256k1 public key: type 2, then 33 bytes."""

IDENTITY_MULTIHASH = bytes.fromhex("0025")
"""Multihash code and length (37) of a public key that is short enough to be its own hash."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A network key and the peer id that follows from it. Computed without importing libp2p, which takes seconds."""

    secret: bytes = field(repr=False)
    """Private key, 32 bytes."""
    peer_id: str
    """Peer id in base58, starting with ``16Uiu2HA``."""

    @property
    def peer_id_bytes(self) -> bytes:
        """The peer id as it stands in messages, 39 bytes."""
        return base58.b58decode(self.peer_id)


def identity_from_secret(secret: bytes) -> Identity:
    """Derive the peer id of a 32-byte private key.

    Raises:
        ValueError: it is not a private key of the curve.
    """
    scalar = int.from_bytes(secret, "big")
    if len(secret) != 32 or not 0 < scalar < SECP256K1_ORDER:
        raise ValueError("network key: not a secp256k1 private key of 32 bytes")
    public_key = ec.derive_private_key(scalar, ec.SECP256K1()).public_key()
    compressed = public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return Identity(secret, base58.b58encode(IDENTITY_MULTIHASH + PUBLIC_KEY_PREFIX + compressed).decode())


def new_identity() -> Identity:
    """Make a key from the operating system's random source."""
    return identity_from_secret((secrets.randbelow(SECP256K1_ORDER - 1) + 1).to_bytes(32, "big"))


def load_or_create(path: Path) -> Identity:
    """Read the network key, 64 hex digits, or make the file with a new one, mode 0600.

    Raises:
        KeyFileError: the file cannot be read or written, is readable by others, or holds no key.
    """
    try:
        text = path.read_text(encoding="ascii", errors="replace")
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _create(path)
    except OSError as error:
        raise KeyFileError(f"network key {path}: cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise KeyFileError(f"network key {path}: mode {mode & 0o777:04o} lets others read it, expected 0600")
    try:
        return identity_from_secret(bytes.fromhex(text.strip()))
    except ValueError:
        raise KeyFileError(f"network key {path}: not a secp256k1 private key, expected 64 hex digits") from None


def _create(path: Path) -> Identity:
    identity = new_identity()
    write_private(path, (identity.secret.hex() + "\n").encode())
    return identity
