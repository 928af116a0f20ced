"""``ssv-pool slashing-protection``: histories in and out, and every mistake one line with a status."""

import json
from pathlib import Path

import pytest

from ssv_pool.cli.main import main

ROOT = "0x" + "ab" * 32
CONFIG = "network: devnet\ndata_dir: data\noperator: {private_key_file: k, password_file: p}\n"


def history(share: int = 1, target: int = 7) -> dict[str, object]:
    return {
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": ROOT},
        "data": [
            {
                "pubkey": "0x" + f"{share:02x}" * 48,
                "signed_blocks": [{"slot": "81", "signing_root": "0x" + "01" * 32}],
                "signed_attestations": [
                    {"source_epoch": "6", "target_epoch": str(target), "signing_root": "0x" + "02" * 32}
                ],
            }
        ],
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "operator.yaml").write_text(CONFIG)
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "operator.yaml"))
    (tmp_path / "in.json").write_text(json.dumps(history()))
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["slashing-protection", *arguments])
    return int(ended.value.code or 0)


def test_what_goes_in_comes_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", str(folder / "in.json"), "--genesis-validators-root", ROOT, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "action": "imported", "file": str(folder / "in.json"), "share_keys": 1,
    }  # fmt: skip
    assert run("export", str(folder / "out.json")) == 0
    assert capsys.readouterr().out == f"exported the history of 1 share keys: {folder / 'out.json'}\n"
    assert json.loads((folder / "out.json").read_text()) == history()
    assert (folder / "out.json").stat().st_mode & 0o777 == 0o600


def test_a_second_import_needs_no_root_and_merges(folder: Path) -> None:
    (folder / "more.json").write_text(json.dumps(history(share=2)))
    assert run("import", str(folder / "in.json"), "--genesis-validators-root", ROOT) == 0
    assert run("import", str(folder / "more.json")) == 0
    assert run("export", str(folder / "out.json")) == 0
    assert len(json.loads((folder / "out.json").read_text())["data"]) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("import", "in.json"), 2, "not tied to a chain yet, expected --genesis-validators-root"),
        (("import", "in.json", "--genesis-validators-root", "0x12"), 2, "expected 0x and 64 hex digits"),
        (("import", "in.json", "--genesis-validators-root", "0x" + "cd" * 32), 1, "expected 0x" + "cd" * 32),
        (("import", "absent.json", "--genesis-validators-root", ROOT), 3, "absent.json"),
        (("export", "out.json"), 1, "the slashing protection is not tied to a chain yet"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, message: str
) -> None:
    verb, file, *rest = arguments
    assert run(verb, str(folder / file), *rest) == status
    error = capsys.readouterr().err
    assert error.startswith("ssv-pool: error: ")
    assert message in error
    assert error.count("\n") == 1
