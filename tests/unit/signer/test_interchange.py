import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssv_pool.errors import KeyFileError
from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.signer.interchange import InterchangeError, export_file, import_file
from ssv_pool.signer.slashing import Marks, SlashingProtection

SHARE = PublicKey(b"\x01" * 48)
NUMBER = "expected a decimal number as text, at most 9223372036854775807"
CHAIN = Root(b"\x0c" * 32)


def opened(folder: Path, name: str) -> SlashingProtection:
    return SlashingProtection(folder / f"{name}.sqlite")


def test_a_history_moves_to_another_machine(tmp_path: Path) -> None:
    path = tmp_path / "interchange.json"
    with opened(tmp_path, "old") as old:
        old.bind(CHAIN)
        old.raise_to([SHARE], Epoch(4), Epoch(5), Slot(160))
        old.record_attestations([SHARE], [Root(b"\x0a" * 32)], Epoch(5), Epoch(6))
        old.record_block(SHARE, Slot(200), Root(b"\x0b" * 32))
        assert export_file(old, path) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x" + "0c" * 32},
        "data": [
            {
                "pubkey": "0x" + "01" * 48,
                "signed_blocks": [{"slot": "160"}, {"slot": "200", "signing_root": "0x" + "0b" * 32}],
                "signed_attestations": [
                    {"source_epoch": "4", "target_epoch": "5"},
                    {"source_epoch": "5", "target_epoch": "6", "signing_root": "0x" + "0a" * 32},
                ],
            }
        ],
    }
    with opened(tmp_path, "new") as new:
        assert import_file(new, path, CHAIN) == 1
        assert new.genesis_validators_root() == CHAIN
        assert new.marks(SHARE) == Marks(5, 6, 200, 5, 6, 200)
        with pytest.raises(SlashableError):
            new.record_attestations([SHARE], [Root(bytes(32))], Epoch(5), Epoch(6))
        new.record_attestations([SHARE], [Root(b"\x0a" * 32)], Epoch(5), Epoch(6))
        assert not new.slashable_block(SHARE, Slot(201))
        assert import_file(new, path, CHAIN) == 1


def test_an_export_needs_a_chain_and_a_free_name(tmp_path: Path) -> None:
    path = tmp_path / "interchange.json"
    with opened(tmp_path, "old") as old:
        with pytest.raises(InterchangeError, match=r"not written: the slashing protection is not tied to a chain yet$"):
            export_file(old, path)
        old.bind(CHAIN)
        path.write_text("")
        with pytest.raises(KeyFileError, match=r"exists already and is not overwritten$"):
            export_file(old, path)


def good() -> dict[str, Any]:
    return {
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x" + "0c" * 32},
        "data": [
            {
                "pubkey": "0x" + "01" * 48,
                "signed_blocks": [{"slot": "7"}],
                "signed_attestations": [{"source_epoch": "1", "target_epoch": "2"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.pop("metadata"), "metadata: missing, expected an object"),
        (
            lambda c: c["metadata"].update(interchange_format_version="4"),
            "metadata.interchange_format_version: '4', expected '5'",
        ),
        (
            lambda c: c["metadata"].update(genesis_validators_root="0x" + "00" * 32),
            f"metadata.genesis_validators_root: 0x{'00' * 32}, expected 0x{'0c' * 32}",
        ),
        (lambda c: c.pop("data"), "data: missing, expected a list"),
        (lambda c: c["data"].append(5), "data[1]: expected an object"),
        (lambda c: c["data"][0].update(pubkey="0x12"), "data[0].pubkey: '0x12', expected 0x and 96 hex digits"),
        (lambda c: c["data"][0].pop("signed_blocks"), "data[0].signed_blocks: missing, expected a list"),
        (
            lambda c: c["data"][0]["signed_blocks"][0].update(slot=7),
            f"data[0].signed_blocks[0].slot: 7, {NUMBER}",
        ),
        (
            lambda c: c["data"][0]["signed_attestations"][0].update(source_epoch="9223372036854775808"),
            f"data[0].signed_attestations[0].source_epoch: '9223372036854775808', {NUMBER}",
        ),
        (
            lambda c: c["data"][0]["signed_attestations"].append("x"),
            f"data[0].signed_attestations[1].source_epoch: None, {NUMBER}",
        ),
        (
            lambda c: c["data"][0]["signed_blocks"][0].update(signing_root="0x"),
            "data[0].signed_blocks[0].signing_root: '0x', expected 0x and 64 hex digits",
        ),
    ],
)
def test_bad_files_are_refused_whole(tmp_path: Path, change: Callable[[dict[str, Any]], object], text: str) -> None:
    path = tmp_path / "interchange.json"
    content = good()
    change(content)
    path.write_text(json.dumps(content))
    with opened(tmp_path, "new") as new:
        with pytest.raises(InterchangeError) as caught:
            import_file(new, path, CHAIN)
        assert str(caught.value) == f"{path}: {text}"
        assert new.export_history() == []
        path.write_text(json.dumps(good()))
        assert import_file(new, path, CHAIN) == 1
