"""The devnet command over real processes: two epochs, the report it writes, and nothing left behind."""

import json
import os
from pathlib import Path

import psutil
import pytest
from devnet_command import run_devnet

pytestmark = pytest.mark.integration

EPOCHS = 2
MARK = "SSV_POOL_TEST_DEVNET"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of four operators and eight validators; its folder, output and mark in the environment."""
    folder = Path(tmp_path_factory.mktemp("devnet"))
    mark = f"{os.getpid()}-{folder.name}"
    options = ("--epochs", str(EPOCHS), "--slot-seconds", "4", "--report", str(folder / "report"), "--seed", "7")
    done = run_devnet(*options, timeout=250.0, **{MARK: mark})
    return folder / "report", done, mark


@pytest.fixture(scope="module")
def report(run):
    folder, done, _mark = run
    path = folder / "report.json"
    assert path.exists(), done.stderr[-3000:]
    return json.loads(path.read_text())


def test_the_run_is_good(run, report):
    _folder, done, _mark = run
    assert report["ok"] is True, done.stdout
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    assert "SUMMARY" in done.stdout
    for word in ("4 (up to 1 may fail)", "8 of 64 on operators", "rate 1.0", "slashable"):
        assert word in done.stdout


def test_every_vote_is_in_a_block_at_once_and_right(report):
    attester = report["duties"]["attester"]
    expected = {"assigned": 8 * EPOCHS, "included": 8 * EPOCHS, "rate": 1.0, "correct_head": 1.0, "effectiveness": 1.0}
    assert {name: attester[name] for name in expected} == expected
    assert report["slashable"] == 0


def test_every_other_duty_is_done_too(report):
    duties = report["duties"]
    for kind, word in (
        ("proposer", "included"),
        ("sync_committee", "included"),
        ("aggregator", "delivered"),
        ("contribution", "delivered"),
    ):
        duty = duties[kind]
        assert duty[word] == duty["assigned"], (kind, duty)
    assert duties["aggregator"]["assigned"] == 8 * EPOCHS
    assert duties["sync_committee"]["assigned"] > 0
    if duties["proposer"]["assigned"]:
        for name, span in duties["proposer"]["phases_ms"].items():
            assert 0 <= span["p50"] <= span["p99"], name


def test_the_report_has_every_field(report):
    config = report["config"]
    assert {name: config[name] for name in ("operators", "validators", "epochs", "slot_seconds", "seed")} == {
        "operators": 4,
        "validators": 8,
        "epochs": EPOCHS,
        "slot_seconds": 4,
        "seed": 7,
    }
    for name in ("start_delay", "commit_delay", "signature", "duty"):
        span = report["latency_ms"][name]
        assert 0 <= span["p50"] <= span["p99"], name
    rounds = report["rounds"]
    assert rounds
    assert all(int(number) >= 1 and count > 0 for number, count in rounds.items())
    chain = report["chain"]
    assert chain["head_slot"] >= 8 * (EPOCHS + 1)
    assert chain["justified_epoch"] >= chain["finalized_epoch"] >= 0
    operators = report["operators"]
    assert [operator["id"] for operator in operators] == [1, 2, 3, 4]
    for operator in operators:
        assert operator["cpu_seconds"] > 0
        assert operator["rss_mb"] > 0
        assert operator["restarts"] == 0
        assert operator["missed_start"] == 0


def test_the_page_is_written_with_its_plots(run):
    folder, _done, _mark = run
    page = (folder / "report.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert page.count("<svg") + page.count("data:image/") >= 2, "delays and inclusion"


def test_no_process_is_left_behind(run):
    _folder, _done, mark = run
    assert [process.pid for process in psutil.process_iter() if _marked(process, mark)] == []


def _marked(process, mark):
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False
