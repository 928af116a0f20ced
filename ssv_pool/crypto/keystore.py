"""Version 4 keystores (EIP-2335): secrets encrypted with a password, in JSON.

`encrypt` and `decrypt` handle the ``crypto`` part around any secret, for the operator's key file holds a PEM text in
one; `ValidatorKeystore` is a whole EIP-2335 file around a validator's BLS key. Files are somebody else's: the key
derivation's parameters are bounded, so that no file can make us burn gigabytes or hours.
"""

import hashlib
import hmac
import json
import secrets
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ssv_pool import bounded_json
from ssv_pool.crypto import bls
from ssv_pool.crypto.files import read_file
from ssv_pool.errors import KeyFileError
from ssv_pool.protocol.types.primitives import PublicKey

PBKDF2_ROUNDS = 262_144
"""Rounds of PBKDF2 that are written (EIP-2335's example); reading takes what the file says."""

SCRYPT_COST = 262_144
"""scrypt's n that is written: 256 MiB of memory and about a second."""

_KEY_SIZE = 32
_SALT_SIZE = 32
_IV_SIZE = 16
_LARGEST_SCRYPT_MEMORY = 1024 * 1024 * 1024
"""Bytes; four times what the field's tools use."""
_LARGEST_SCRYPT_PARALLELISM = 16
_LARGEST_PBKDF2_ROUNDS = 50_000_000
_SHORTEST_KEY = 32


class WrongPasswordError(KeyFileError):
    """The checksum does not match: the password is wrong, or the file damaged; the two cannot be told apart."""


def encrypt(secret: bytes, password: str, *, kdf: str = "scrypt", cost: int | None = None) -> dict[str, Any]:
    """The ``crypto`` part of a version 4 keystore around ``secret``.

    Args:
        secret: what is to be kept.
        password: any text; it is normalized as EIP-2335 says.
        kdf: ``scrypt`` or ``pbkdf2``.
        cost: scrypt's n (a power of two) or PBKDF2's rounds; the default is strong, tests take less.
    """
    salt, iv = secrets.token_bytes(_SALT_SIZE), secrets.token_bytes(_IV_SIZE)
    params: dict[str, Any]
    if kdf == "scrypt":
        params = {"dklen": _KEY_SIZE, "n": cost or SCRYPT_COST, "p": 1, "r": 8, "salt": salt.hex()}
    else:
        params = {"c": cost or PBKDF2_ROUNDS, "dklen": _KEY_SIZE, "prf": "hmac-sha256", "salt": salt.hex()}
    key = _derive(kdf, params, password)
    ciphertext = _aes_ctr(key[:16], iv, secret)
    return {
        "kdf": {"function": kdf, "params": params, "message": ""},
        "checksum": {"function": "sha256", "params": {}, "message": _checksum(key, ciphertext).hex()},
        "cipher": {"function": "aes-128-ctr", "params": {"iv": iv.hex()}, "message": ciphertext.hex()},
    }


def decrypt(crypto: Mapping[str, Any], password: str) -> bytes:
    """The secret inside the ``crypto`` part of a version 4 keystore.

    Raises:
        WrongPasswordError: the checksum does not match.
        KeyFileError: a part is missing, unknown or out of bounds; the text starts with the part's name.
    """
    kdf, checksum, cipher = (_module(crypto, name) for name in ("kdf", "checksum", "cipher"))
    if checksum["function"] != "sha256":
        raise KeyFileError(f"checksum.function: {checksum['function']!r}, expected 'sha256'")
    if cipher["function"] != "aes-128-ctr":
        raise KeyFileError(f"cipher.function: {cipher['function']!r}, expected 'aes-128-ctr'")
    ciphertext = _hex(cipher["message"], "cipher.message")
    expected = _hex(checksum["message"], "checksum.message")
    iv = _hex(cipher["params"].get("iv"), "cipher.params.iv")
    if len(iv) != _IV_SIZE:
        raise KeyFileError(f"cipher.params.iv: {len(iv)} bytes, expected {_IV_SIZE}")
    key = _derive(kdf["function"], kdf["params"], password)
    if not hmac.compare_digest(_checksum(key, ciphertext), expected):
        raise WrongPasswordError("wrong password, or the file is damaged")
    return _aes_ctr(key[:16], iv, ciphertext)


def load_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises KeyFileError."""
    content = load_json(path)
    if not isinstance(content, dict):
        raise KeyFileError(f"{path}: not a JSON object")
    return content


def load_json(path: Path) -> Any:
    """The JSON value in a file, not null. Raises KeyFileError."""
    raw = read_file(path)
    try:
        content = bounded_json.loads(raw)
    except ValueError:
        content = None
    if content is None:
        raise KeyFileError(f"{path}: not a JSON file")
    return content


@dataclass(frozen=True, slots=True, repr=False)
class ValidatorKeystore:
    """A validator's key out of an EIP-2335 file."""

    secret: int
    """The BLS secret key."""
    public_key: PublicKey
    """Its public key, 48 bytes."""
    path: str
    """EIP-2334 derivation path; empty when the key was not derived."""

    def __repr__(self) -> str:
        return f"ValidatorKeystore(public_key=0x{self.public_key.hex()})"

    @classmethod
    def read(cls, path: Path, password: str) -> "ValidatorKeystore":
        """Read and decrypt an EIP-2335 file.

        Raises:
            WrongPasswordError: wrong password or damaged file.
            KeyFileError: no such file, not a version 4 keystore, or its key does not belong to its ``pubkey``.
        """
        content = load_json_object(path)
        if content.get("version") != 4:
            raise KeyFileError(f"{path}: keystore version {content.get('version')!r}, expected 4 (EIP-2335)")
        crypto = content.get("crypto")
        if not isinstance(crypto, dict):
            raise KeyFileError(f"{path}: crypto: missing, expected a version 4 keystore (EIP-2335)")
        try:
            secret = bls.secret_from_bytes(decrypt(crypto, password))
        except WrongPasswordError as error:
            raise WrongPasswordError(f"{path}: {error}") from None
        except (KeyFileError, bls.BlsError) as error:
            raise KeyFileError(f"{path}: {error}") from None
        public_key = bls.secret_to_public(secret)
        stated = content.get("pubkey")
        if stated and _hex(stated, f"{path}: pubkey") != public_key:
            raise KeyFileError(
                f"{path}: pubkey: not the public key of the encrypted key, which is 0x{public_key.hex()}"
            )
        derivation = content.get("path")
        return cls(secret, public_key, derivation if isinstance(derivation, str) else "")


def validator_keystore_json(
    secret: int, password: str, *, path: str = "", kdf: str = "scrypt", cost: int | None = None
) -> bytes:
    """An EIP-2335 file around a validator's BLS secret key; arguments as in `encrypt`."""
    content = {
        "crypto": encrypt(bls.secret_to_bytes(secret), password, kdf=kdf, cost=cost),
        "description": "",
        "pubkey": bls.secret_to_public(secret).hex(),
        "path": path,
        "uuid": str(uuid.uuid4()),
        "version": 4,
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _module(crypto: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    module = crypto.get(name)
    if not isinstance(module, dict):
        raise KeyFileError(f"{name}: missing, expected an object")
    if not isinstance(module.get("function"), str) or not isinstance(module.get("params"), dict):
        raise KeyFileError(f"{name}: expected function (text) and params (object)")
    return module


def _hex(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        raise KeyFileError(f"{name}: missing, expected hex digits")
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError:
        raise KeyFileError(f"{name}: expected hex digits") from None


def _normalized(password: str) -> bytes:
    # EIP-2335: NFKD, then the control characters C0, C1 and Delete are stripped.
    decomposed = unicodedata.normalize("NFKD", password)
    return "".join(c for c in decomposed if ord(c) > 0x1F and not 0x7F <= ord(c) <= 0x9F).encode()


def _number(params: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = params.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise KeyFileError(f"kdf.params.{name}: {value!r}, expected a number from {low} to {high}")
    return value


def _derive(function: str, params: Mapping[str, Any], password: str) -> bytes:
    salt = _hex(params.get("salt"), "kdf.params.salt")
    length = _number(params, "dklen", _SHORTEST_KEY, 64)
    secret = _normalized(password)
    if function == "scrypt":
        n = _number(params, "n", 2, 2**30)
        r = _number(params, "r", 1, 1024)
        p = _number(params, "p", 1, _LARGEST_SCRYPT_PARALLELISM)
        memory = 128 * r * (n + p)
        if n & (n - 1) or memory > _LARGEST_SCRYPT_MEMORY:
            raise KeyFileError(
                f"kdf.params: scrypt n={n} r={r} p={p}, expected a power of two and at most "
                f"{_LARGEST_SCRYPT_MEMORY // 1024**2} MiB",
            )
        return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=memory + 1024**2, dklen=length)
    if function == "pbkdf2":
        if params.get("prf") != "hmac-sha256":
            raise KeyFileError(f"kdf.params.prf: {params.get('prf')!r}, expected 'hmac-sha256'")
        rounds = _number(params, "c", 1, _LARGEST_PBKDF2_ROUNDS)
        return hashlib.pbkdf2_hmac("sha256", secret, salt, rounds, length)
    raise KeyFileError(f"kdf.function: {function!r}, expected 'scrypt' or 'pbkdf2'")


def _checksum(key: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha256(key[16:32] + ciphertext).digest()


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    transform = Cipher(AES128(key), CTR(iv)).encryptor()
    return transform.update(data) + transform.finalize()
