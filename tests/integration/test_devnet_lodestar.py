"""The devnet on a real beacon client: operators of ours do all duties of 16 validators on Lodestar's chain."""

import json

import pytest
from devnet_command import run_devnet

from ssv_pool.devnet.lodestar.install import LodestarUnavailableError, ensure_installed

VALIDATORS, EPOCHS = 16, 4

RUN_SECONDS = 540.0
"""Five epochs of eight slots, and the start."""

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(RUN_SECONDS + 240)]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a finished run; skips, and says why, where Lodestar cannot be installed."""
    try:
        ensure_installed()
    except LodestarUnavailableError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("devnet") / "report"
    options = ("--beacon", "lodestar", "--validators", str(VALIDATORS), "--epochs", str(EPOCHS), "--exit", "1@1")
    done = run_devnet(*options, "--report", str(folder), timeout=RUN_SECONDS)
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
