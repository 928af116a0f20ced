import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ssv_pool.cli import main
from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.key_file import read_key_file

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line as the shell does: (exit status, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def generated(tmp_path: Path, password_file: Path, run: Run) -> Path:
    out = tmp_path / "key.json"
    status, output, errors = run("operator", "keys", "generate", "--out", out, "--password-file", password_file)
    assert (status, errors) == (0, "")
    public_key = read_key_file(out, "correct horse").public_key_base64
    assert output == f"key file    {out}\npublic key  {public_key}\n"
    return out


def test_a_key_is_generated_and_shown(generated: Path, password_file: Path, run: Run) -> None:
    keyring = read_key_file(generated, "correct horse")
    assert stat.S_IMODE(generated.stat().st_mode) == 0o600
    status, output, errors = run("operator", "keys", "show", generated)
    assert (status, output) == (0, f"key file    {generated}\npublic key  {keyring.public_key_base64}\n")
    assert errors == "The public key is what the file states; give --password-file to check it.\n"
    status, output, errors = run("operator", "keys", "show", generated, "--password-file", password_file, "--json")
    assert (status, errors) == (0, "")
    expected = {"file": str(generated), "publicKey": keyring.public_key_base64, "decrypted": True}
    assert json.loads(output) == expected


def test_json_of_a_new_key(tmp_path: Path, password_file: Path, run: Run) -> None:
    out = tmp_path / "new.json"
    status, output, _ = run("operator", "keys", "generate", "--out", out, "--password-file", password_file, "--json")
    assert status == 0
    assert operator_keys.public_key_from_base64(json.loads(output)["publicKey"])


def test_a_wrong_password_is_one_line(generated: Path, tmp_path: Path, run: Run) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple")
    assert run("operator", "keys", "show", generated, "--password-file", wrong) == (
        3,
        "",
        f"ssv-pool: error: {generated}: wrong password, or the file is damaged\n",
    )


def test_bad_files_are_one_line_each(generated: Path, tmp_path: Path, run: Run) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text(generated.read_text()[:300])
    empty = tmp_path / "empty"
    empty.write_text("")
    absent = tmp_path / "absent"
    for arguments, text in (
        (("show", damaged), f"{damaged}: not a JSON file"),
        (("show", absent), f"{absent}: cannot be read: No such file or directory"),
        (("show", generated, "--password-file", empty), f"{empty}: password file is empty, expected a password"),
        (("show", generated, "--password-file", absent), f"{absent}: cannot be read: No such file or directory"),
        (
            ("generate", "--out", generated, "--password-file", empty),
            f"{generated}: exists already and is not overwritten",
        ),
        (
            ("generate", "--out", absent / "x", "--password-file", generated.parent / "password"),
            f"{absent / 'x'}: cannot be written: No such file or directory",
        ),
    ):
        assert run("operator", "keys", *arguments) == (3, "", f"ssv-pool: error: {text}\n")


def test_without_a_terminal_a_password_file_is_needed(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", (tmp_path / "stdin").open("w+"))
    status, output, errors = run("operator", "keys", "generate", "--out", tmp_path / "key.json")
    assert (status, output) == (2, "")
    assert errors.endswith("Error: no password: give --password-file FILE, or run it in a terminal\n")
    assert not (tmp_path / "key.json").exists()


def test_a_password_is_no_argument(generated: Path, run: Run) -> None:
    status, _, errors = run("operator", "keys", "show", generated, "--password", "secret")
    assert status == 2
    assert "No such option" in errors
