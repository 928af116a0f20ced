import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ssv_pool.crypto import keystore, operator_keys
from ssv_pool.crypto.files import read_password, write_private
from ssv_pool.crypto.key_file import read_key_file, read_public_key, write_key_file
from ssv_pool.crypto.keystore import WrongPasswordError
from ssv_pool.errors import KeyFileError


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return operator_keys.generate()


@pytest.fixture
def path(tmp_path: Path, private_key: rsa.RSAPrivateKey) -> Path:
    path = tmp_path / "encrypted_private_key.json"
    write_key_file(path, private_key, "password", cost=2)
    return path


def rewrite(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_round_trip(path: Path, private_key: rsa.RSAPrivateKey) -> None:
    keyring = read_key_file(path, "password")
    assert keyring.public_key == operator_keys.public_key_to_pem(private_key.public_key())
    assert read_public_key(path) == keyring.public_key
    assert set(json.loads(path.read_text())) == {"kdf", "checksum", "cipher", "pubKey", "version"}


def test_only_the_owner_may_read_it_and_no_other_file_is_left(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_field_s_other_layouts_are_read(path: Path) -> None:
    content = json.loads(path.read_text())
    public = content["pubKey"]
    rewrite(path, pubKey=None, pubkey=public)
    assert read_key_file(path, "password").public_key_base64 == public
    parts = {name: content[name] for name in ("kdf", "checksum", "cipher")}
    path.write_text(json.dumps({"crypto": parts, "pubkey": public, "version": 4, "uuid": "", "path": ""}))
    assert read_key_file(path, "password").public_key_base64 == public
    path.write_text(json.dumps(parts))
    assert read_key_file(path, "password").public_key_base64 == public


def error(path: Path, password: str = "password") -> str:
    with pytest.raises(KeyFileError) as caught:
        read_key_file(path, password)
    assert caught.value.exit_code == 3
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_wrong_password(path: Path) -> None:
    assert error(path, "passwort") == f"{path}: wrong password, or the file is damaged"
    with pytest.raises(WrongPasswordError):
        read_key_file(path, "")


def test_damaged_files(path: Path, tmp_path: Path) -> None:
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    assert error(path) == f"{path}: not a JSON file"
    path.write_text(whole.replace('"cipher"', '"cypher"'))
    assert error(path) == f"{path}: not an encrypted key file, expected the parts kdf, checksum and cipher"
    content = json.loads(whole)
    message = content["cipher"]["message"]
    content["cipher"]["message"] = ("0" if message[0] != "0" else "1") + message[1:]
    path.write_text(json.dumps(content))
    assert error(path) == f"{path}: wrong password, or the file is damaged"
    assert error(tmp_path / "absent") == f"{tmp_path / 'absent'}: cannot be read: No such file or directory"
    assert error(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_key_that_is_not_the_stated_one(path: Path) -> None:
    other = operator_keys.public_key_to_pem(operator_keys.generate().public_key())
    rewrite(path, pubKey=operator_keys.public_key_to_base64(other))
    assert error(path) == f"{path}: pubKey: not the public key of the encrypted key"
    rewrite(path, pubKey="AAAA")
    assert error(path) == f"{path}: pubKey: operator public key: not PEM text labelled RSA PUBLIC KEY"
    rewrite(path, pubKey=5)
    assert error(path) == f"{path}: pubKey: expected text"


def test_something_else_inside(path: Path) -> None:
    path.write_text(json.dumps(keystore.encrypt(b"hello", "password", kdf="pbkdf2", cost=2)))
    assert error(path) == f"{path}: what is encrypted in it is not an operator's RSA key"
    with pytest.raises(KeyFileError, match=r"pubKey: missing; the password is needed to derive it$"):
        read_public_key(path)


def test_an_existing_file_is_not_overwritten_unless_asked(path: Path, private_key: rsa.RSAPrivateKey) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyFileError) as caught:
        write_key_file(path, private_key, "password", cost=2)
    assert str(caught.value) == f"{path}: exists already and is not overwritten"
    assert path.read_bytes() == before
    write_key_file(path, private_key, "other", cost=2, overwrite=True)
    assert read_key_file(path, "other")
    assert list(path.parent.iterdir()) == [path]


def test_a_blank_password_is_refused(tmp_path: Path, private_key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(KeyFileError, match=r"the password is empty, expected one$"):
        write_key_file(tmp_path / "key.json", private_key, " \n", cost=2)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        write_private(tmp_path / "absent" / "file", b"")
    assert str(caught.value) == f"{tmp_path / 'absent' / 'file'}: cannot be written: No such file or directory"


def test_password_files(tmp_path: Path) -> None:
    path = tmp_path / "password"
    for raw, password in ((b"secret", "secret"), (b"secret\n", "secret"), (b" sec ret \r\n", " sec ret ")):
        path.write_bytes(raw)
        assert read_password(path) == password
    for raw, text in ((b"", "password file is empty"), (b" \n", "password file is empty"), (b"\xff", "not UTF-8")):
        path.write_bytes(raw)
        with pytest.raises(KeyFileError, match=text):
            read_password(path)
