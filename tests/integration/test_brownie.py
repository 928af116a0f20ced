"""Brownie on the project's contracts, as a person runs it. The first run makes Brownie's environment."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def brownie(*arguments: str) -> str:
    command = [str(ROOT / "scripts" / "brownie"), *arguments]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_compile_and_smoke_suite() -> None:
    """One test, because both write Brownie's build folder."""
    assert "Project has been compiled" in brownie("compile", "--all")
    assert "1 passed" in brownie("test")
