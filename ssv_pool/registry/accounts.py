"""Ethereum accounts out of files: encrypted keystores (version 3) and files with a bare key.

The bytes of a key never appear in an error, and a keystore's parameters are bounded, so that no file can make us burn
gigabytes or hours.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_account.signers.local import LocalAccount

from ssv_pool import bounded_json
from ssv_pool.crypto.files import read_file, read_password, write_private
from ssv_pool.crypto.keystore import WrongPasswordError
from ssv_pool.errors import KeyFileError

SCRYPT_COST: Final = 262_144
"""scrypt's n that is written: 256 MiB of memory and about a second."""

LIGHT_SCRYPT_COST: Final = 4_096
"""scrypt's n for accounts on test chains: 4 MiB of memory and milliseconds."""

_LARGEST_SCRYPT_MEMORY: Final = 1024 * 1024 * 1024
_LARGEST_PBKDF2_ROUNDS: Final = 50_000_000
_OTHERS: Final = 0o077


def load_account(
    path: Path, password_file: Path | None = None, *, ask: Callable[[], str] | None = None
) -> LocalAccount:
    """The account in a file: a JSON keystore with a password, or 32 bytes of key as hex digits.

    Args:
        path: the file.
        password_file: file with the keystore's password.
        ask: gives the password when there is no such file.

    Raises:
        WrongPasswordError: the password does not open the keystore.
        KeyFileError: no such file, neither kind of file, a bare key that others may read, or no password.
    """
    content = read_file(path)
    if not content.lstrip().startswith(b"{"):
        return _bare_key(path, content)
    if password_file is not None:
        return _open_keystore(path, content, read_password(password_file))
    if ask is None:
        raise KeyFileError(f"{path}: an encrypted keystore, expected a file with its password beside it")
    return _open_keystore(path, content, ask())


def write_keystore(path: Path, account: LocalAccount, password: str, *, cost: int = SCRYPT_COST) -> None:
    """Encrypt an account's key into a new keystore of version 3, mode 0600.

    Args:
        path: where to; never overwritten.
        account: whose key.
        password: any text that is not blank.
        cost: scrypt's n, a power of two.

    Raises:
        KeyFileError: the password is blank, the file exists or cannot be written.
    """
    if not password.strip():
        raise KeyFileError(f"{path}: the password is empty, expected one")
    content = Account.encrypt(account.key, password, kdf="scrypt", iterations=cost)
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")


def new_account() -> LocalAccount:
    """A new account from the system's random numbers."""
    account: LocalAccount = Account.from_key(secrets.token_bytes(32))
    return account


def _bare_key(path: Path, content: bytes) -> LocalAccount:
    if path.stat().st_mode & _OTHERS:
        raise KeyFileError(f"{path}: a key that other users may read, expected mode 0600: chmod 600 {path}")
    try:
        key = bytes.fromhex(content.decode("ascii").strip().removeprefix("0x"))
    except ValueError:
        raise KeyFileError(f"{path}: neither a JSON keystore nor hex digits of a key") from None
    if len(key) != 32:
        raise KeyFileError(f"{path}: a key of {len(key)} bytes, expected 32")
    try:
        account: LocalAccount = Account.from_key(key)
    except Exception:  # noqa: BLE001 - the library's error names the key's bytes
        raise KeyFileError(f"{path}: its 32 bytes are not a secp256k1 key") from None
    return account


def _open_keystore(path: Path, content: bytes, password: str) -> LocalAccount:
    try:
        keystore = bounded_json.loads(content)
    except ValueError:
        raise KeyFileError(f"{path}: not a JSON file") from None
    if not isinstance(keystore, dict) or keystore.get("version") != 3:
        found = keystore.get("version") if isinstance(keystore, dict) else None
        hint = " (version 4 holds a validator's key, not an account's)" if found == 4 else ""
        raise KeyFileError(f"{path}: keystore version {found!r}, expected 3{hint}")
    crypto = keystore.get("crypto", keystore.get("Crypto"))
    if not isinstance(crypto, dict):
        raise KeyFileError(f"{path}: crypto: missing, expected a version 3 keystore")
    _check_cost(path, crypto)
    try:
        key = Account.decrypt(keystore, password)
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise WrongPasswordError(f"{path}: wrong password, or the file is damaged") from None
        raise KeyFileError(f"{path}: a damaged keystore of version 3") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise KeyFileError(f"{path}: a damaged keystore of version 3") from None
    account: LocalAccount = Account.from_key(key)
    stated = keystore.get("address")
    if isinstance(stated, str) and stated and stated.lower().removeprefix("0x") != account.address[2:].lower():
        raise KeyFileError(f"{path}: address: {stated[:80]}, but the key in it is that of {account.address}")
    return account


def _check_cost(path: Path, crypto: Mapping[str, Any]) -> None:
    params = crypto.get("kdfparams")
    if crypto.get("kdf") not in {"scrypt", "pbkdf2"} or not isinstance(params, dict):
        raise KeyFileError(f"{path}: crypto.kdf: {str(crypto.get('kdf'))[:40]!r}, expected scrypt or pbkdf2")
    names = ("n", "r", "p") if crypto["kdf"] == "scrypt" else ("c",)
    for name in (*names, "dklen"):
        value = params.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise KeyFileError(f"{path}: crypto.kdfparams.{name}: {str(value)[:40]}, expected a number from 1 up")
    if params["dklen"] != 32:
        raise KeyFileError(f"{path}: crypto.kdfparams.dklen: {params['dklen']}, expected 32")
    if crypto["kdf"] == "pbkdf2":
        costly = params["c"] > _LARGEST_PBKDF2_ROUNDS
    else:
        costly = 128 * params["r"] * (params["n"] + params["p"]) > _LARGEST_SCRYPT_MEMORY or params["p"] > 16
    if costly:
        raise KeyFileError(f"{path}: crypto.kdfparams: asks for more than 1 GiB of memory or minutes of work")
