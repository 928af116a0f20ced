"""Slashing protection histories as EIP-3076 interchange files, format version 5."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.keystore import load_json_object
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import PublicKey, Root
from ssv_pool.signer.slashing import History, SlashingProtection

FORMAT_VERSION = "5"
"""The interchange format that is read and written."""

_LARGEST = 2**63 - 1


class InterchangeError(SsvPoolError):
    """An interchange file that is malformed or belongs to another chain."""


def export_file(protection: SlashingProtection, path: Path) -> int:
    """Write everything a slashing protection file knows to a new file of mode 0600; returns the number of share keys.

    Raises:
        InterchangeError: the slashing protection file is not tied to a chain yet.
        KeyFileError: the file exists or cannot be written.
    """
    root = protection.genesis_validators_root()
    if root is None:
        raise InterchangeError(f"{path}: not written: the slashing protection is not tied to a chain yet")
    histories = protection.export_history()
    write_private(path, json.dumps(to_json(histories, root), indent=2).encode() + b"\n")
    return len(histories)


def import_file(protection: SlashingProtection, path: Path, genesis_validators_root: Root) -> int:
    """Merge an interchange file into a slashing protection file; returns the number of share keys.

    Raises:
        InterchangeError: the file is malformed, or of another chain; then nothing was imported.
        KeyFileError: the file cannot be read.
    """
    try:
        histories = from_json(load_json_object(path), genesis_validators_root)
    except InterchangeError as error:
        raise InterchangeError(f"{path}: {error}") from None
    protection.bind(genesis_validators_root)
    protection.import_history(histories)
    return len({history.share for history in histories})


def to_json(histories: list[History], genesis_validators_root: Root) -> dict[str, Any]:
    """The interchange object for histories."""
    return {
        "metadata": {
            "interchange_format_version": FORMAT_VERSION,
            "genesis_validators_root": f"0x{genesis_validators_root.hex()}",
        },
        "data": [
            {
                "pubkey": f"0x{history.share.hex()}",
                "signed_blocks": [{"slot": str(slot), **_signing_root(root)} for slot, root in history.blocks],
                "signed_attestations": [
                    {"source_epoch": str(source), "target_epoch": str(target), **_signing_root(root)}
                    for source, target, root in history.attestations
                ],
            }
            for history in histories
        ],
    }


def from_json(content: Mapping[str, Any], genesis_validators_root: Root) -> list[History]:
    """Judge an interchange object. Raises InterchangeError, which names the field, the value and what was expected."""
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        raise InterchangeError("metadata: missing, expected an object")
    version = metadata.get("interchange_format_version")
    if version != FORMAT_VERSION:
        raise InterchangeError(f"metadata.interchange_format_version: {version!r}, expected {FORMAT_VERSION!r}")
    root = _bytes(metadata.get("genesis_validators_root"), 32, "metadata.genesis_validators_root")
    if root != genesis_validators_root:
        raise InterchangeError(
            f"metadata.genesis_validators_root: 0x{root.hex()}, expected 0x{genesis_validators_root.hex()}",
        )
    return [_history(entry, f"data[{index}]") for index, entry in enumerate(_list(content.get("data"), "data"))]


def _history(entry: object, name: str) -> History:
    if not isinstance(entry, dict):
        raise InterchangeError(f"{name}: expected an object")
    blocks = _list(entry.get("signed_blocks"), f"{name}.signed_blocks")
    attestations = _list(entry.get("signed_attestations"), f"{name}.signed_attestations")
    return History(
        share=PublicKey(_bytes(entry.get("pubkey"), 48, f"{name}.pubkey")),
        attestations=tuple(
            (
                _number(item, "source_epoch", f"{name}.signed_attestations[{index}]"),
                _number(item, "target_epoch", f"{name}.signed_attestations[{index}]"),
                _root(item, f"{name}.signed_attestations[{index}]"),
            )
            for index, item in enumerate(attestations)
        ),
        blocks=tuple(
            (
                _number(item, "slot", f"{name}.signed_blocks[{index}]"),
                _root(item, f"{name}.signed_blocks[{index}]"),
            )
            for index, item in enumerate(blocks)
        ),
    )


def _signing_root(root: bytes) -> dict[str, str]:
    return {"signing_root": f"0x{root.hex()}"} if root else {}


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise InterchangeError(f"{name}: missing, expected a list")
    return value


def _number(item: object, field: str, name: str) -> int:
    value = item.get(field) if isinstance(item, dict) else None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,20}", value) or int(value) > _LARGEST:
        raise InterchangeError(f"{name}.{field}: {value!r}, expected a decimal number as text, at most {_LARGEST}")
    return int(value)


def _root(item: Mapping[str, Any], name: str) -> bytes:
    value = item.get("signing_root")
    return b"" if value is None else _bytes(value, 32, f"{name}.signing_root")


def _bytes(value: object, length: int, name: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(rf"0x[0-9a-fA-F]{{{2 * length}}}", value):
        raise InterchangeError(f"{name}: {value!r}, expected 0x and {2 * length} hex digits")
    return bytes.fromhex(value[2:])
