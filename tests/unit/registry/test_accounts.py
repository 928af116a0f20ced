"""Accounts out of keystores and key files."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from ssv_pool.crypto.keystore import WrongPasswordError
from ssv_pool.errors import KeyFileError
from ssv_pool.registry.accounts import load_account, new_account, write_keystore

KEY = bytes(range(1, 33))
ADDRESS = Account.from_key(KEY).address


def private(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    return private(tmp_path / "password.txt", "secret word\n")


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    write_keystore(path, Account.from_key(KEY), "secret word", cost=2)
    return path


def test_keystore_round_trip(keystore: Path, password_file: Path) -> None:
    assert keystore.stat().st_mode & 0o777 == 0o600
    assert load_account(keystore, password_file).key == KEY
    assert load_account(keystore, ask=lambda: "secret word").address == ADDRESS
    with pytest.raises(KeyFileError, match="exists already"):
        write_keystore(keystore, Account.from_key(KEY), "x", cost=2)


def test_pbkdf2_keystore(tmp_path: Path, password_file: Path) -> None:
    content = Account.encrypt(KEY, "secret word", kdf="pbkdf2", iterations=10)
    assert load_account(private(tmp_path / "k.json", json.dumps(content)), password_file).key == KEY


@pytest.mark.parametrize("text", [KEY.hex(), f"0x{KEY.hex()}\n"])
def test_bare_key(tmp_path: Path, text: str) -> None:
    assert load_account(private(tmp_path / "key", text)).address == ADDRESS


def test_new_accounts_differ() -> None:
    assert new_account().address != new_account().address


def test_bare_key_that_others_may_read(tmp_path: Path) -> None:
    path = private(tmp_path / "key", KEY.hex())
    path.chmod(0o640)
    with pytest.raises(KeyFileError) as caught:
        load_account(path)
    assert str(caught.value) == f"{path}: a key that other users may read, expected mode 0600: chmod 600 {path}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not hex", "neither a JSON keystore nor hex digits of a key"),
        (KEY.hex()[2:], "a key of 31 bytes, expected 32"),
        ("00" * 32, "its 32 bytes are not a secp256k1 key"),
        ("ff" * 32, "its 32 bytes are not a secp256k1 key"),
        ("{", "not a JSON file"),
        ('{"version": 4}', "keystore version 4, expected 3 (version 4 holds a validator's key, not an account's)"),
        ('{"version": 3}', "crypto: missing, expected a version 3 keystore"),
    ],
)
def test_other_files(tmp_path: Path, password_file: Path, text: str, sentence: str) -> None:
    path = private(tmp_path / "key", text)
    with pytest.raises(KeyFileError) as caught:
        load_account(path, password_file)
    assert str(caught.value) == f"{path}: {sentence}"


def test_wrong_password_and_none(keystore: Path) -> None:
    with pytest.raises(WrongPasswordError) as caught:
        load_account(keystore, ask=lambda: "another")
    assert str(caught.value) == f"{keystore}: wrong password, or the file is damaged"
    with pytest.raises(KeyFileError, match="expected a file with its password beside it"):
        load_account(keystore)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n": 2**40}, "crypto.kdfparams: asks for more than 1 GiB of memory or minutes of work"),
        ({"p": 1000}, "crypto.kdfparams: asks for more than 1 GiB of memory or minutes of work"),
        ({"n": "2"}, "crypto.kdfparams.n: 2, expected a number from 1 up"),
        ({"n": True}, "crypto.kdfparams.n: True, expected a number from 1 up"),
        ({"dklen": 64}, "crypto.kdfparams.dklen: 64, expected 32"),
        ({"salt": 5}, "a damaged keystore of version 3"),
    ],
)
def test_hostile_keystore(keystore: Path, password_file: Path, change: dict[str, Any], sentence: str) -> None:
    content = json.loads(keystore.read_text())
    content["crypto"]["kdfparams"] |= change
    keystore.write_text(json.dumps(content))
    with pytest.raises(KeyFileError) as caught:
        load_account(keystore, password_file)
    assert str(caught.value) == f"{keystore}: {sentence}"


def test_keystore_of_another_address(keystore: Path, password_file: Path) -> None:
    content = json.loads(keystore.read_text()) | {"address": "aa" * 20}
    keystore.write_text(json.dumps(content))
    with pytest.raises(KeyFileError) as caught:
        load_account(keystore, password_file)
    assert str(caught.value) == f"{keystore}: address: {'aa' * 20}, but the key in it is that of {ADDRESS}"
