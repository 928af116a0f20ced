"""The reference documents say what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ssv_pool.protocol.events import Outcome, Reason
from ssv_pool.settings import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "lib" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["metrics.md", "configuration.md", "reasons.md"])
def test_the_document_is_what_the_script_makes_of_the_code(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == script().documents()[name], "run scripts/reference"


def test_nothing_is_left_out() -> None:
    documents = script().documents()
    for variable, key in ENVIRONMENT.items():
        assert f"| `{key}` | `{variable}` |" in documents["configuration.md"]
    for member in [*Outcome, *Reason]:
        assert f"| `{member.value}` |" in documents["reasons.md"]
    assert "| `ssv_duty_ended_total` | counter | `role`, `outcome`, `reason` |" in documents["metrics.md"]
