"""scripts/contract-soak: a small slice of it, its summary, and that it tells what it finds."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import contract_soak  # noqa: E402 - found by the path above

pytestmark = [pytest.mark.contracts, pytest.mark.slow]


@pytest.mark.parametrize(("world", "contract"), [(0, "pool"), (2, "registry")])
def test_a_world_of_each_contract(world: int, contract: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert contract_soak.main(["--world", str(world), "--seed", "5", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    counted = [row["count"] for row in summary["counts"]]
    assert summary["calls"] == sum(counted) == summary["accepted"] + summary["refused"]
    assert summary["calls"] > contract_soak.ACTIONS_OF_A_WORLD // 2
    assert contract in {row["contract"] for row in summary["counts"]}
    assert not summary["findings"]


def test_a_finding_is_told_with_how_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(chance: Any, actions: list[str]) -> None:
        actions.append("stake")
        raise AssertionError("a wei is missing")

    monkeypatch.setattr(contract_soak, "pool_world", broken)
    assert contract_soak.main(["--world", "4"]) == 1
    shown = capsys.readouterr().out
    assert "world 4 (pool): AssertionError: a wei is missing; last actions ['stake']" in shown


def test_nothing_is_not_enough() -> None:
    with pytest.raises(SystemExit) as ended:
        contract_soak.main(["--calls", "0"])
    assert ended.value.code == 2
