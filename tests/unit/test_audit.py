"""docs/audit.md: every finding is there, and every test that it names."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FINDINGS = (
    "Unchecked event data",
    "Unchecked operator id lists",
    "Handler errors ignored",
    "Round-change quorum unchecked",
    "Justification replay",
    "Panic on a malformed message",
    "Aggregate signature not verified",
    "Race between the slashing check and its record",
    "A share removed and added again leads to slashing",
    "Non-deterministic order in signature recovery",
    "Epoch-0 underflow",
    "Key share leaked in an error text",
    "Unbounded counts and buffers",
    "Files with mode 0644",
    "Forced exit of somebody else's validators",
    "Withdrawal into liquidation",
    "Duplicate operators",
    "Reused key shares",
    "Registration front-running",
    "Whitelist skipped on reactivation",
    "Profiling endpoint exposed",
    "An endpoint that signs what it is asked to",
)


def table() -> dict[str, list[str]]:
    """Finding → the tests that the documentation names for it."""
    rows = {}
    for line in (ROOT / "docs" / "audit.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| finding", "| ---")):
            finding, _, tests = (cell.strip() for cell in line.strip("|").split("|"))
            assert re.fullmatch(r"`[^`]+`( `[^`]+`)*", tests), f"{finding}: {tests}"
            rows[finding] = re.findall(r"`([^`]+)`", tests)
    return rows


@cache
def collected_in(file: str) -> frozenset[str]:
    """Names of the tests of a file that pytest collects, those of a class as ``Class::test``."""

    def of(body: list[ast.stmt], prefix: str) -> set[str]:
        found = set()
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(prefix + node.name)
            elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                found |= of(node.body, f"{prefix}{node.name}::")
        return found

    path = ROOT / file
    assert path.name.startswith("test_")
    return frozenset(of(ast.parse(path.read_text()).body, ""))


def test_every_finding_has_its_row() -> None:
    assert tuple(table()) == FINDINGS


@pytest.mark.parametrize("finding", FINDINGS)
def test_the_tests_of_a_finding_are_there(finding: str) -> None:
    named = table()[finding]
    missing = [name for name in named if name.partition("::")[2] not in collected_in(name.partition("::")[0])]
    assert (missing, len(named) > 0) == ([], True)
