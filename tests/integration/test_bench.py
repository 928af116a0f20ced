"""The measurement of duties does whole duties. What it counts is checked, its times are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "scripts/lib/bench/duties.py"

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
