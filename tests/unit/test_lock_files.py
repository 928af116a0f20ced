"""The lock files install anywhere: every package pinned, no registry named."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON_LOCKS = ("requirements.lock", "requirements-brownie.lock", "requirements-bootstrap.lock")


@pytest.mark.parametrize("name", [*PYTHON_LOCKS, "package-lock.json", "scripts/lodestar/package-lock.json"])
def test_no_registry_is_named(name: str) -> None:
    assert not re.findall(r"https?://\S+|--(?:extra-)?index-url", (ROOT / name).read_text())


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_every_python_package_is_pinned_and_hashed(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    assert [
        entry for entry in entries if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+.* \\\n +--hash=sha256:", entry)
    ] == []


def test_npm_lock_knows_every_platform() -> None:
    """`npm ci` refuses a lock without an entry for each optional package, and npm writes only those it could fetch."""
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    anvil = packages["node_modules/@foundry-rs/anvil"]
    assert packages[""]["devDependencies"] == {"@foundry-rs/anvil": anvil["version"]}
    assert {name: packages[f"node_modules/{name}"]["version"] for name in anvil["optionalDependencies"]} == (
        anvil["optionalDependencies"]
    )
