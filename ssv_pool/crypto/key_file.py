"""The operator's key file: ``encrypted_private_key.json``, a version 4 keystore around the PEM text of the RSA key.

The field's clients write its parts (``kdf``, ``checksum``, ``cipher``) at the top level, with the public key's base64
under ``pubKey``; others put the parts under ``crypto`` or name the key ``pubkey``. All of these are read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from ssv_pool.crypto import keystore, operator_keys
from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.keystore import WrongPasswordError, load_json_object
from ssv_pool.crypto.operator_keys import OperatorKeyError, OperatorKeyring
from ssv_pool.errors import KeyFileError


def write_key_file(
    path: Path,
    private_key: rsa.RSAPrivateKey,
    password: str,
    *,
    kdf: str = "pbkdf2",
    cost: int | None = None,
    overwrite: bool = False,
) -> str:
    """Encrypt an operator's key into a new file of mode 0600; returns the public key in its on-chain form.

    Args:
        path: where to; the directory must exist.
        private_key: RSA, 2048 bits.
        password: any text that is not blank.
        kdf: ``pbkdf2`` (what the field writes) or ``scrypt``.
        cost: see `ssv_pool.crypto.keystore.encrypt`.
        overwrite: whether a file of that name may be replaced.

    Raises:
        KeyFileError: the password is blank, the file exists or cannot be written.
    """
    if not password.strip():
        raise KeyFileError(f"{path}: the password is empty, expected one")
    public = operator_keys.public_key_to_base64(operator_keys.public_key_to_pem(private_key.public_key()))
    content = keystore.encrypt(operator_keys.private_key_to_pem(private_key), password, kdf=kdf, cost=cost)
    content |= {"version": 4, "pubKey": public}
    write_private(path, json.dumps(content, indent=2).encode() + b"\n", overwrite=overwrite)
    return public


def read_key_file(path: Path, password: str) -> OperatorKeyring:
    """Decrypt an operator's key file.

    Raises:
        WrongPasswordError: wrong password or damaged file.
        KeyFileError: no such file, not an operator's key file, or its key does not belong to its public key.
    """
    content = load_json_object(path)
    crypto = _crypto(content, path)
    try:
        pem = keystore.decrypt(crypto, password)
        keyring = OperatorKeyring(operator_keys.private_key_from_pem(pem))
    except WrongPasswordError as error:
        raise WrongPasswordError(f"{path}: {error}") from None
    except OperatorKeyError:
        raise KeyFileError(f"{path}: what is encrypted in it is not an operator's RSA key") from None
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from None
    if _public_key(content, path) not in {None, keyring.public_key}:
        raise KeyFileError(f"{path}: pubKey: not the public key of the encrypted key")
    return keyring


def read_public_key(path: Path) -> bytes:
    """The public key (PEM, 459 bytes) that a key file states, without the password. Raises KeyFileError."""
    content = load_json_object(path)
    _crypto(content, path)
    public_key = _public_key(content, path)
    if public_key is None:
        raise KeyFileError(f"{path}: pubKey: missing; the password is needed to derive it")
    return public_key


def _crypto(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    crypto = content.get("crypto", content)
    if not isinstance(crypto, dict) or not {"kdf", "checksum", "cipher"} <= crypto.keys():
        raise KeyFileError(f"{path}: not an encrypted key file, expected the parts kdf, checksum and cipher")
    return crypto


def _public_key(content: Mapping[str, Any], path: Path) -> bytes | None:
    text = content.get("pubKey", content.get("pubkey"))
    if text is None:
        return None
    if not isinstance(text, str):
        raise KeyFileError(f"{path}: pubKey: expected text")
    try:
        return operator_keys.public_key_from_base64(text)
    except OperatorKeyError as error:
        raise KeyFileError(f"{path}: pubKey: {error}") from None
