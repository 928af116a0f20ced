"""The EIP-3076 interchange tests, 5.3.0."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from vector_archives import json_members, needs

from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.signer.interchange import InterchangeError, from_json, to_json
from ssv_pool.signer.slashing import History, SlashingProtection

ARCHIVE = "eip3076-interchange-5.3.0.tar.xz"
pytestmark = needs(ARCHIVE)

CASES = [path for path in json_members(ARCHIVE) if not path.endswith("schema.json")]


def raw(text: str | None) -> bytes:
    return bytes.fromhex((text or "0x" + "00" * 32).removeprefix("0x"))


def allowed(attempt: Any, entry: Any) -> bool:
    try:
        attempt()
    except SlashableError:
        return False
    return True


def judge(entry: Any, succeeded: bool) -> None:
    """What the minimal strategy signs must be signed; what the complete one refuses must be refused."""
    if entry["should_succeed"]:
        assert succeeded, entry
    elif not entry.get("should_succeed_complete", entry["should_succeed"]):
        assert not succeeded, entry


@pytest.mark.parametrize("path", CASES)
def test_vector(path: str, tmp_path: Path) -> None:
    case = json_members(ARCHIVE)[path]
    genesis = Root(raw(case["genesis_validators_root"]))
    with SlashingProtection(tmp_path / "slashing.sqlite") as protection:
        for step in case["steps"]:
            try:
                protection.import_history(from_json(step["interchange"], genesis))
            except InterchangeError:
                assert not step["should_succeed"]
            else:
                assert step["should_succeed"] or step["contains_slashable_data"]
            for entry in itertools.chain(step["blocks"], step["attestations"]):
                share = PublicKey(raw(entry["pubkey"]))
                if not protection.knows(share):
                    protection.import_history([History(share, (), ())])
                root = Root(raw(entry.get("signing_root")))
                if "slot" in entry:
                    slot = Slot(int(entry["slot"]))
                    succeeded = allowed(lambda: protection.record_block(share, slot, root), entry)  # noqa: B023
                else:
                    epochs = Epoch(int(entry["source_epoch"])), Epoch(int(entry["target_epoch"]))
                    succeeded = allowed(
                        lambda: protection.record_attestations([share], [root], *epochs),  # noqa: B023
                        entry,
                    )
                judge(entry, succeeded)
        exported = to_json(protection.export_history(), genesis)
    with SlashingProtection(tmp_path / "second.sqlite") as second:
        second.import_history(from_json(exported, genesis))
        assert to_json(second.export_history(), genesis) == exported


def test_none_is_missing() -> None:
    assert len(CASES) == 38
