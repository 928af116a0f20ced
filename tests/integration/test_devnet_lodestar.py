"""The devnet on a real beacon client: operators of ours do all duties of 16 validators on Lodestar's chain."""

import json
import subprocess
import sys

import pytest
from live_cluster import clean_environment

from ssv_pool.devnet.lodestar.install import LodestarUnavailableError, ensure_installed

pytestmark = [pytest.mark.integration, pytest.mark.slow]

VALIDATORS, EPOCHS = 16, 4


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a finished run; skips, and says why, where Lodestar cannot be installed."""
    try:
        ensure_installed()
    except LodestarUnavailableError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("devnet") / "report"
    command = (sys.executable, "-m", "ssv_pool.devnet", "--beacon", "lodestar", "--validators", str(VALIDATORS))
    done = subprocess.run(
        (*command, "--epochs", str(EPOCHS), "--exit", "1@1", "--report", str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        env=clean_environment(),
        check=False,
    )
    path = folder / "report.json"
    assert path.exists(), done.stderr[-3000:]
    found = json.loads(path.read_text())
    assert done.returncode == 0, done.stdout
    return found


def test_the_run_is_good(report):
    assert report["ok"] is True, report["checks"]
    assert report["config"]["beacon"] == "lodestar"
    assert report["slashable"] == 0


def test_its_chain_holds_what_the_operators_did(report):
    duties = report["duties"]
    assert duties["attester"]["assigned"] == VALIDATORS * EPOCHS
    assert duties["attester"]["rate"] >= 0.97
    proposer = duties["proposer"]
    assert proposer["assigned"] > 0
    assert proposer["included"] == proposer["assigned"], "every proposed block accepted"
    assert (duties["exit"]["assigned"], duties["exit"]["included"]) == (1, 1)
