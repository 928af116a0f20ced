import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ssv_pool.cli import main
from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.keystore import ValidatorKeystore, validator_keystore_json
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.crypto.shamir import recover
from ssv_pool.pool.keyshares import read_key_shares

OWNER = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494"
IDS = (3, 5, 8, 13)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def keyrings() -> dict[int, OperatorKeyring]:
    return {number: OperatorKeyring(operator_keys.generate()) for number in IDS}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["keys", "split", *(str(argument) for argument in arguments)])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def operators_file(tmp_path: Path, keyrings: dict[int, OperatorKeyring]) -> Path:
    path = tmp_path / "operators.json"
    entries = [{"id": number, "operatorKey": keyring.public_key_base64} for number, keyring in keyrings.items()]
    path.write_text(json.dumps(entries[::-1]))
    return path


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    path.write_bytes(validator_keystore_json(4242, "correct horse", cost=16))
    return path


def opened(out: Path, keyrings: dict[int, OperatorKeyring]) -> int:
    """The validator's key, put together from the decrypted shares of a key shares file."""
    (shares,) = read_key_shares(out)
    parts = zip(shares.operator_ids, shares.shares.encrypted_shares, shares.shares.share_public_keys, strict=True)
    return recover({number: keyrings[number].decrypt_share(share, public) for number, share, public in parts})


def test_a_keystore_is_split(
    tmp_path: Path,
    run: Run,
    keyrings: dict[int, OperatorKeyring],
    operators_file: Path,
    keystore: Path,
    password_file: Path,
) -> None:
    out = tmp_path / "keyshares.json"
    status, output, errors = run(
        *("--keystore", keystore, "--keystore-password-file", password_file, "--operators-file", operators_file),
        *("--owner", OWNER.lower(), "--owner-nonce", 7, "--out", out, "--version", "1.1.0", "--json"),
    )
    assert (status, errors) == (0, "")
    assert json.loads(output) == {
        "publicKey": f"0x{bls.secret_to_public(4242).hex()}",
        "operatorIds": list(IDS),
        "owner": OWNER,
        "ownerNonce": 7,
        "keyShares": str(out),
        "keystore": str(keystore),
    }
    assert json.loads(out.read_text())["version"] == "v1.1.0"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert opened(out, keyrings) == 4242


def test_a_new_key_is_made_kept_and_split(
    tmp_path: Path, run: Run, keyrings: dict[int, OperatorKeyring], password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssv_pool.crypto.keystore.SCRYPT_COST", 16)
    out, kept = tmp_path / "keyshares.json", tmp_path / "new.json"
    operators = [f"--operator={number}:{keyring.public_key_base64}" for number, keyring in keyrings.items()]
    status, output, errors = run(
        *("--new", "--out-keystore", kept, "--keystore-password-file", password_file, *operators),
        *("--owner", OWNER, "--owner-nonce", 0, "--out", out),
    )
    assert (status, errors) == (0, "")
    key = ValidatorKeystore.read(kept, "correct horse")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert opened(out, keyrings) == key.secret
    assert output == (
        f"validator   0x{key.public_key.hex()}\noperators   3, 5, 8, 13\nowner       {OWNER}, nonce 0\n"
        f"key shares  {out}\nkeystore    {kept}\n"
    )


def test_refusals_leave_no_file(
    tmp_path: Path, run: Run, operators_file: Path, keystore: Path, password_file: Path
) -> None:
    wrong, three = tmp_path / "wrong", tmp_path / "three.json"
    wrong.write_text("battery staple")
    three.write_text(json.dumps(json.loads(operators_file.read_text())[:3]))
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    out = tmp_path / "keyshares.json"
    taken = tmp_path / "taken.json"
    taken.write_text("")
    good = {
        "--keystore": keystore,
        "--keystore-password-file": password_file,
        "--operators-file": operators_file,
        "--owner": OWNER,
        "--owner-nonce": 0,
        "--out": out,
    }
    before = sorted(tmp_path.iterdir())
    for change, text in (
        ({"--keystore-password-file": wrong}, f"{keystore}: wrong password, or the file is damaged"),
        ({"--keystore": damaged}, f"{damaged}: not a JSON file"),
        ({"--keystore": out}, f"{out}: cannot be read: No such file or directory"),
        ({"--operators-file": damaged}, f"{damaged}: not a JSON file"),
        ({"--operators-file": three}, f"{three}: operators: 3 operators, expected 4, 7, 10 or 13"),
        ({"--owner": "0x12"}, "owner: '0x12', expected an address: 0x and 40 hex digits"),
        ({"--owner-nonce": 70000}, "owner nonce: 70000, expected a number from 0 to 65535"),
        ({"--out": taken}, f"{taken}: exists already and is not overwritten"),
    ):
        arguments = [part for pair in (good | change).items() for part in pair]
        assert run(*arguments) == (3, "", f"ssv-pool: error: {text}\n")
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give either --keystore FILE or --new"),
        (["--new", "--keystore", "k"], "give either --keystore FILE or --new"),
        (["--new"], "--new and --out-keystore FILE go together"),
        (["--keystore", "k", "--out-keystore", "k"], "--new and --out-keystore FILE go together"),
        (["--keystore", "k"], "give the operators either by --operator ID:KEY or by --operators-file FILE"),
        (
            ["--keystore", "k", "--operator", "1:x", "--operators-file", "f"],
            "give the operators either by --operator ID:KEY or by --operators-file FILE",
        ),
        (["--keystore", "k", "--operator", "x:y"], "Invalid value for --operator: 'x:y', expected ID:KEY"),
        (["--keystore", "k", "--operator", "5"], "Invalid value for --operator: '5', expected ID:KEY"),
    ],
)
def test_usage_errors(run: Run, arguments: list[str], text: str, tmp_path: Path) -> None:
    status, output, errors = run("--owner", OWNER, "--owner-nonce", 0, "--out", tmp_path / "out", *arguments)
    assert (status, output) == (2, "")
    assert errors.endswith(f"Error: {text}\n")


def test_a_bad_operator_key(run: Run, tmp_path: Path) -> None:
    status, _, errors = run(
        *("--keystore", "k", "--operator", "1:AAAA", "--owner", OWNER, "--owner-nonce", 0, "--out", tmp_path / "out")
    )
    assert (status, errors) == (
        3,
        "ssv-pool: error: --operator 1.operatorKey: operator public key: not PEM text labelled RSA PUBLIC KEY\n",
    )
