"""The measurement of duties does whole duties. What it counts is checked, its times are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "scripts/lib/bench/duties.py"
GAS = ROOT / "scripts/lib/bench/gas.py"

REGISTRY = ROOT / "scripts/lib/bench/registry.py"

pytestmark = pytest.mark.integration


def test_duties_are_done_and_their_cryptography_is_counted():
    command = [sys.executable, str(BENCH), "--operators", "4", "--validators", "1,3", "--duties", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["duties"]
    operations = {(each["role"], each["validators"]): each["operations"] for each in found}
    assert set(operations) == {
        (role, validators)
        for role in ("attestation", "sync_committee", "aggregator_committee")
        for validators in (1, 3)
    } | {("proposer", 1), ("aggregator", 1), ("contribution", 1)}
    for role in ("attestation", "sync_committee"):
        for validators in (1, 3):
            counts = operations[role, validators]
            assert (counts["share_signatures"], counts["rebuilt"]) == (validators, validators)
            # Prepare, commit and partial signatures of its own; of the others these, and the proposal of one.
            assert counts["rsa_signatures"] in (3, 4)
            assert 9 <= counts["rsa_checks"] <= 14
    for role in ("proposer", "aggregator", "contribution"):
        counts = operations[role, 1]
        assert (counts["share_signatures"], counts["rebuilt"], counts["bls_checks"]) == (2, 2, 0)
    for each in found:
        assert each["cpu_ms"] > 0
        assert each["cryptography_ms"] > 0
        assert each["ratio"] == pytest.approx(each["cpu_ms"] / each["cryptography_ms"], rel=0.01)


def test_gas_is_what_the_documentation_says():
    command = [sys.executable, str(GAS), "--sizes", "4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["gas"]) == {"SSVRegistry", "StakingPool"}
    section = (ROOT / "docs/contracts.md").read_text().partition("\n## Gas\n")[2].partition("\n## ")[0]
    for contract, calls in found["gas"].items():
        lines = section.partition(f"\n### {contract}\n")[2].partition("\n### ")[0].splitlines()
        table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][2:]
        said = {(row[0], row[1]): int(row[2].replace(",", "")) for row in table if row[1] in ("", "4")}
        used = {
            (call, size): figure
            for call, gas in calls.items()
            for size, figure in (gas.items() if isinstance(gas, dict) else [("", gas)])
        }
        assert said.keys() == used.keys()
        # Times of the run are among the arguments, where zeros cost less; and a wei saved is no news.
        assert said == {key: pytest.approx(figure, rel=0.02) for key, figure in used.items()}
        assert all(figure > 21_000 for figure in used.values())
    published = [row for row in section.splitlines() if row.startswith("| register 10 in bulk | 13 |")]
    assert published[0].split(" | ")[3:] == ["1,738,195", "1,740,000 |"]


def test_a_registry_sync_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path: Path):
    command = [sys.executable, str(REGISTRY), "--validators", "300", "--operators", "60", "--kill-every", "0.2"]
    command += ["--most-kills", "3", "--batch-blocks", "8", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same_store"] is True
    assert found["kills"] >= 2
    assert found["malformed"] < found["events"]
    assert found["events"] > 360
    assert found["events_per_second"] > 0
    assert found["cpu_bls_seconds"] > 0
    assert 0 < found["peak_memory_mb"] < 500
