"""The operators' RSA-2048 keys: message signatures, share encryption, and the forms in which the keys travel.

A public key travels as PEM text of 459 bytes whose label says ``RSA PUBLIC KEY`` while the body is a PKIX
SubjectPublicKeyInfo (so PEM loaders refuse it), and on chain as the base64 of that text. Signatures are PKCS#1 v1.5
with SHA-256; shares are encrypted with PKCS#1 v1.5, the plaintext being ``0x`` and 64 hex digits in ASCII.
"""

import base64
import binascii
import hashlib
import re
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ssv_pool.crypto import bls
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import PublicKey

KEY_BITS = 2048
"""Length of the modulus; the protocol knows no other."""

PUBLIC_KEY_PEM_SIZE = 459
"""Bytes of a public key's PEM text with its line breaks (spec: Operator.SSVOperatorPubKey)."""

SIGNATURE_SIZE = 256
"""Bytes of a message signature."""

ENCRYPTED_SHARE_SIZE = 256
"""Bytes of an encrypted share."""

_MAX_PUBLIC_EXPONENT = 2**31 - 1
"""The Go clients' RSA takes no larger one; and a huge one makes every verification slow."""

_CACHED_PUBLIC_KEYS = 4096
"""Parsed operator keys kept; parsing costs as much as a verification."""

_REMEMBERED_SIGNATURES = 4096
"""Valid signatures remembered in each of two generations, 32 bytes each: some hundred duties' worth."""

_PUBLIC_LABEL = "RSA PUBLIC KEY"
_PEM = re.compile(rb"\s*-----BEGIN ([A-Z ]+)-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END ([A-Z ]+)-----\s*")
_SHARE_TEXT = re.compile(rb"(?:0x)?[0-9a-fA-F]{64}")
_PADDING = padding.PKCS1v15()
_HASH = hashes.SHA256()


class OperatorKeyError(SsvPoolError, ValueError):
    """Text that is not an operator's key."""


class ShareError(SsvPoolError):
    """An encrypted share that does not decrypt, or does not match its public key. The text holds no secret."""


def generate() -> rsa.RSAPrivateKey:
    """A fresh operator key: RSA-2048 with the exponent 65537. Takes a tenth of a second or so."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def private_key_to_pem(private_key: rsa.RSAPrivateKey) -> bytes:
    """The private key as unencrypted PEM, label ``RSA PRIVATE KEY``, body PKCS#1 DER. To be encrypted at once."""
    return private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def private_key_from_pem(pem: bytes) -> rsa.RSAPrivateKey:
    """Load a private key from PEM (PKCS#1 or PKCS#8). Raises OperatorKeyError, whose text holds nothing of the key."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise OperatorKeyError("operator private key: not an unencrypted PEM private key") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != KEY_BITS:
        raise OperatorKeyError(f"operator private key: not an RSA key of {KEY_BITS} bits")
    return key


def public_key_to_pem(public_key: rsa.RSAPublicKey) -> bytes:
    """A public key as the protocol writes it: 459 bytes, the label odd as it is."""
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = base64.b64encode(der).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {_PUBLIC_LABEL}-----", *lines, f"-----END {_PUBLIC_LABEL}-----", ""]).encode()


@lru_cache(maxsize=_CACHED_PUBLIC_KEYS)
def public_key_from_pem(pem: bytes) -> rsa.RSAPublicKey:
    """Load a public key from its PEM text, remembering recent ones. Raises OperatorKeyError.

    The label may also be ``PUBLIC KEY``, and white space may differ.
    """
    armour = _PEM.fullmatch(pem)
    if armour is None or armour[1] != armour[3] or armour[1] not in {_PUBLIC_LABEL.encode(), b"PUBLIC KEY"}:
        raise OperatorKeyError(f"operator public key: not PEM text labelled {_PUBLIC_LABEL}")
    try:
        key = serialization.load_der_public_key(base64.b64decode(b"".join(armour[2].split()), validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise OperatorKeyError("operator public key: the PEM body is not a DER public key") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != KEY_BITS:
        raise OperatorKeyError(f"operator public key: not an RSA key of {KEY_BITS} bits")
    if key.public_numbers().e > _MAX_PUBLIC_EXPONENT:
        raise OperatorKeyError(f"operator public key: exponent over {_MAX_PUBLIC_EXPONENT}")
    return key


def public_key_to_base64(pem: bytes) -> str:
    """The form of a public key on chain and in key shares files: base64 of the PEM text."""
    return base64.b64encode(pem).decode()


def public_key_from_base64(text: str) -> bytes:
    """The PEM text (459 bytes, written anew) of a public key in its on-chain form. Raises OperatorKeyError."""
    try:
        pem = base64.b64decode(text, validate=True)
    except ValueError:
        raise OperatorKeyError("operator public key: not base64 text") from None
    return public_key_to_pem(public_key_from_pem(pem))


def fingerprint(pem: bytes) -> str:
    """A short name of a public key for logs: the first 16 hex digits of the SHA-256 of its PEM text."""
    return hashlib.sha256(pem).hexdigest()[:16]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a message signature is valid under a public key's PEM; a malformed key or signature gives False."""
    if len(signature) != SIGNATURE_SIZE:
        return False
    try:
        public_key_from_pem(public_key).verify(signature, message, _PADDING, _HASH)
    except (InvalidSignature, OperatorKeyError):
        return False
    return True


def encrypt_share(public_key: bytes, secret: int) -> bytes:
    """Encrypt a share's secret key for an operator (its public key's PEM); returns 256 bytes."""
    plaintext = f"0x{bls.secret_to_bytes(secret).hex()}".encode()
    return public_key_from_pem(public_key).encrypt(plaintext, _PADDING)


def decrypt_share(private_key: rsa.RSAPrivateKey, ciphertext: bytes, share_public_key: PublicKey) -> int:
    """Decrypt a share and check it against the public key that was published for it.

    Every failure says the same, so that nobody who feeds us shares learns where the decryption stopped.

    Raises:
        ShareError: the share does not decrypt, is no secret key, or belongs to another public key.
    """
    secret = None
    if len(ciphertext) == ENCRYPTED_SHARE_SIZE:
        try:
            # Recent OpenSSL answers bad padding with random bytes instead of an error: both end below.
            plaintext = private_key.decrypt(ciphertext, _PADDING)
            if _SHARE_TEXT.fullmatch(plaintext):
                secret = bls.secret_from_bytes(bytes.fromhex(plaintext[-64:].decode()))
        except ValueError:
            secret = None
    if secret is None or bls.secret_to_public(secret) != share_public_key:
        raise ShareError(
            f"share 0x{share_public_key.hex()}: the encrypted share does not decrypt to its secret key "
            "with this operator's key",
        )
    return secret


class OperatorKeyring:
    """This operator's RSA key and the checking of all others': implements `ssv_pool.protocol.ports.OperatorKeys`.

    What was found valid is remembered for a while: the proof of a decision holds the signatures of commits that came
    before, and every operator sends one. That is nine of a duty's nineteen signatures among four operators.
    """

    __slots__ = ("_known", "_known_before", "_private_key", "public_key")

    public_key: bytes
    """This operator's public key, PEM, 459 bytes."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        self._private_key = private_key
        self.public_key = public_key_to_pem(private_key.public_key())
        # Two generations, so that the oldest go without being looked for. Any thread may add.
        self._known: set[bytes] = set()
        self._known_before: set[bytes] = set()

    def __repr__(self) -> str:
        return f"OperatorKeyring({fingerprint(self.public_key)})"

    def __reduce__(self) -> str:
        raise TypeError("an operator's key is not to be pickled or copied")

    @property
    def public_key_base64(self) -> str:
        """This operator's public key in its on-chain form."""
        return public_key_to_base64(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Sign ``message`` (the SSZ encoding of an SSVMessage); returns 256 bytes."""
        signature = self._private_key.sign(message, _PADDING, _HASH)
        self._remember(_digest(self.public_key, message, signature))
        return signature

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` over ``message`` is valid under another operator's public key (PEM)."""
        if len(signature) != SIGNATURE_SIZE:
            return False
        digest = _digest(public_key, message, signature)
        if digest in self._known or digest in self._known_before:
            return True
        if not verify(public_key, message, signature):
            return False
        self._remember(digest)
        return True

    def _remember(self, digest: bytes) -> None:
        if len(self._known) >= _REMEMBERED_SIGNATURES:
            self._known, self._known_before = set(), self._known
        self._known.add(digest)

    def decrypt_share(self, ciphertext: bytes, share_public_key: PublicKey) -> int:
        """Decrypt one of this operator's shares and check it. Raises ShareError."""
        return decrypt_share(self._private_key, ciphertext, share_public_key)


def _digest(public_key: bytes, message: bytes, signature: bytes) -> bytes:
    """Stands for the three together: the signature has one length, the message is last."""
    return hashlib.sha256(b"".join((len(public_key).to_bytes(4, "big"), public_key, signature, message))).digest()
