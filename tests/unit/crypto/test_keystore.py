import json
import traceback
from pathlib import Path
from typing import Any

import eth_keyfile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.crypto import bls, keystore
from ssv_pool.crypto.keystore import ValidatorKeystore, WrongPasswordError
from ssv_pool.errors import KeyFileError

SECRET = int("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", 16)
PASSWORD = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑"  # noqa: RUF001 - the EIP's own password, to be normalized to ASCII letters
PUBLIC_KEY = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07"

EIP_CHECKSUM_SALT = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"

EIP_SCRYPT: dict[str, Any] = {
    "kdf": {
        "function": "scrypt",
        "params": {"dklen": 32, "n": 262144, "p": 1, "r": 8, "salt": EIP_CHECKSUM_SALT},
        "message": "",
    },
    "checksum": {
        "function": "sha256",
        "params": {},
        "message": "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
    },
    "cipher": {
        "function": "aes-128-ctr",
        "params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
        "message": "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
    },
}

EIP_PBKDF2: dict[str, Any] = {
    "kdf": {
        "function": "pbkdf2",
        "params": {"dklen": 32, "c": 262144, "prf": "hmac-sha256", "salt": EIP_CHECKSUM_SALT},
        "message": "",
    },
    "checksum": {
        "function": "sha256",
        "params": {},
        "message": "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
    },
    "cipher": {
        "function": "aes-128-ctr",
        "params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
        "message": "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
    },
}


def cheap(secret: bytes = bytes(32), password: str = "password") -> dict[str, Any]:
    return keystore.encrypt(secret, password, kdf="pbkdf2", cost=2)


def write(path: Path, crypto: dict[str, Any] | None, **changes: Any) -> Path:
    content = {"crypto": crypto, "pubkey": PUBLIC_KEY, "path": "m/12381/60/0/0", "uuid": "", "version": 4} | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


@pytest.mark.parametrize("crypto", [EIP_SCRYPT, EIP_PBKDF2], ids=["scrypt", "pbkdf2"])
def test_the_eip_s_own_vectors(tmp_path: Path, crypto: dict[str, Any]) -> None:
    read = ValidatorKeystore.read(write(tmp_path / "keystore.json", crypto), PASSWORD)
    assert read == ValidatorKeystore(SECRET, bls.secret_to_public(SECRET), "m/12381/60/0/0")
    assert read.public_key.hex() == PUBLIC_KEY


@pytest.mark.parametrize(("kdf", "cost"), [("scrypt", 16), ("pbkdf2", 3)])
def test_what_is_written_is_read_here_and_elsewhere(tmp_path: Path, kdf: str, cost: int) -> None:
    path = tmp_path / "keystore.json"
    path.write_bytes(keystore.validator_keystore_json(SECRET, "pass word", kdf=kdf, cost=cost))
    assert ValidatorKeystore.read(path, "pass word").secret == SECRET
    assert eth_keyfile.extract_key_from_keyfile(str(path), b"pass word") == bls.secret_to_bytes(SECRET)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=3000), st.text(max_size=40), st.text(max_size=40))
def test_round_trip_and_wrong_password(secret: bytes, password: str, other: str) -> None:
    crypto = cheap(secret, password)
    assert keystore.decrypt(crypto, password) == secret
    if keystore._normalized(other) != keystore._normalized(password):
        with pytest.raises(WrongPasswordError, match=r"^wrong password, or the file is damaged$"):
            keystore.decrypt(crypto, other)


def test_passwords_are_normalized() -> None:
    assert keystore._normalized(PASSWORD) == bytes.fromhex("7465737470617373776f7264f09f9491")
    assert keystore._normalized("a\x00b\x1f\x7f\x9fc") == b"abc"


def changed(part: str, **changes: Any) -> dict[str, Any]:
    crypto = cheap()
    for name, value in changes.items():
        where = crypto[part] if name in {"function", "message", "params"} else crypto[part]["params"]
        where[name] = value
    return crypto


@pytest.mark.parametrize(
    ("crypto", "text"),
    [
        ({}, "kdf: missing, expected an object"),
        (changed("kdf", function="argon2"), "kdf.function: 'argon2', expected 'scrypt' or 'pbkdf2'"),
        (changed("kdf", function=None), "kdf: expected function (text) and params (object)"),
        (changed("kdf", prf="hmac-md5"), "kdf.params.prf: 'hmac-md5', expected 'hmac-sha256'"),
        (changed("kdf", c=10**9), "kdf.params.c: 1000000000, expected a number from 1 to 50000000"),
        (changed("kdf", c="2"), "kdf.params.c: '2', expected a number from 1 to 50000000"),
        (changed("kdf", c=True), "kdf.params.c: True, expected a number from 1 to 50000000"),
        (changed("kdf", dklen=16), "kdf.params.dklen: 16, expected a number from 32 to 64"),
        (changed("kdf", salt="xx"), "kdf.params.salt: expected hex digits"),
        (changed("kdf", salt=None), "kdf.params.salt: missing, expected hex digits"),
        (
            changed("kdf", function="scrypt", n=2**26, r=8, p=1),
            "kdf.params: scrypt n=67108864 r=8 p=1, expected a power of two and at most 1024 MiB",
        ),
        (
            changed("kdf", function="scrypt", n=1000, r=8, p=1),
            "kdf.params: scrypt n=1000 r=8 p=1, expected a power of two and at most 1024 MiB",
        ),
        (changed("checksum", function="crc"), "checksum.function: 'crc', expected 'sha256'"),
        (changed("cipher", function="rot13"), "cipher.function: 'rot13', expected 'aes-128-ctr'"),
        (changed("cipher", iv="00"), "cipher.params.iv: 1 bytes, expected 16"),
        (changed("cipher", message="0"), "cipher.message: expected hex digits"),
        (changed("cipher", message="00"), "wrong password, or the file is damaged"),
        (changed("checksum", message=""), "wrong password, or the file is damaged"),
    ],
)
def test_damaged_crypto_parts(crypto: dict[str, Any], text: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        keystore.decrypt(crypto, "password")
    assert str(caught.value) == text


def test_damaged_keystores(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    crypto = cheap(bls.secret_to_bytes(5))

    def error() -> str:
        with pytest.raises(KeyFileError) as caught:
            ValidatorKeystore.read(path, "password")
        return str(caught.value)

    assert error() == f"{path}: cannot be read: No such file or directory"
    path.write_text("{")
    assert error() == f"{path}: not a JSON file"
    path.write_bytes(b"\xff\xfe{}")
    assert error() == f"{path}: not a JSON file"
    path.write_text("[" * 100_000)
    assert error() == f"{path}: not a JSON file"
    path.write_text("[]")
    assert error() == f"{path}: not a JSON object"
    write(path, crypto, version=3)
    assert error() == f"{path}: keystore version 3, expected 4 (EIP-2335)"
    write(path, None)
    assert error() == f"{path}: crypto: missing, expected a version 4 keystore (EIP-2335)"
    write(path, crypto)
    public_key = bls.secret_to_public(5).hex()
    assert error() == f"{path}: pubkey: not the public key of the encrypted key, which is 0x{public_key}"
    write(path, cheap(bytes(32)))
    assert error() == f"{path}: BLS secret key: out of range, expected a number from 1 up to the group order"
    write(path, cheap(bytes(31)))
    assert error() == f"{path}: BLS secret key: 31 bytes, expected 32"


def test_nothing_secret_shows(tmp_path: Path) -> None:
    path = write(tmp_path / "keystore.json", cheap(bls.secret_to_bytes(SECRET)))
    read = ValidatorKeystore.read(path, "password")
    assert repr(read) == f"ValidatorKeystore(public_key=0x{PUBLIC_KEY})"
    password = f"{SECRET:x}-wrong"
    with pytest.raises(WrongPasswordError) as caught:
        ValidatorKeystore.read(path, password)
    assert password not in "".join(traceback.format_exception(caught.value))
