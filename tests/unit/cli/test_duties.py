"""``ssv-pool duties``: what is shown of the journal, and what is chosen."""

import json
from pathlib import Path

import pytest

from ssv_pool.cli.main import main
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, Root, Slot
from ssv_pool.settings import load_settings
from ssv_pool.store import Database
from ssv_pool.store.chain import save_chain
from ssv_pool.store.journal import JournalEntry, record

CHAIN = BeaconChain(1_700_000_000.0, Root(bytes(32)), 12_000, 8, (ForkVersion(Epoch(0), bytes(4), "fulu"),))
CONFIG = "network: devnet\ndata_dir: data\noperator: {private_key_file: k, password_file: p}\n"


def entry(slot: int, role: int = 0, **changes: object) -> JournalEntry:
    due = CHAIN.attestation_due(slot)
    steps = {"accepted": due + 0.5, "decided": due + 0.3, "due": due, "begun": due + 0.001}
    given: dict[str, object] = {"outcome": "completed", "round": 1, "steps": steps, **changes}
    return JournalEntry(f"role{role}:{slot}:{'c1' * 32}", role, Slot(slot), b"\xc1" * 32, **given)  # type: ignore[arg-type]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    (tmp_path / "operator.yaml").write_text(CONFIG)
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "operator.yaml"))
    opened = Database(load_settings(tmp_path / "operator.yaml").store_url)
    opened.create_schema()
    return opened


@pytest.fixture
def journal(database: Database) -> Database:
    """Slots 6 to 10: good, failed, late, not in the chain, and a block."""
    late = {"due": CHAIN.attestation_due(8), "begun": CHAIN.attestation_due(8), "accepted": CHAIN.start_of(9) + 1}
    with database.session() as session:
        save_chain(session, CHAIN)
        record(session, entry(6))
        silent = (OperatorId(2), OperatorId(4))
        failed = {"outcome": "failed", "reason": "no_commit_quorum", "detail": "prepared in round 1"}
        record(session, entry(7, silent_operators=silent, **failed))
        record(session, entry(8, steps=late))
        record(session, entry(9, reason="not_included", detail="1 of 2 attestations"))
        block = {"due": CHAIN.start_of(10), "begun": CHAIN.start_of(10), "accepted": CHAIN.start_of(10) + 3.9}
        block["included"] = CHAIN.start_of(10)
        record(session, entry(10, role=2, steps=block))
    return database


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["duties", *arguments])
    return int(ended.value.code or 0)


def slots(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[int]:
    assert run("--json", *arguments) == 0
    return [shown["slot"] for shown in json.loads(capsys.readouterr().out)]


@pytest.mark.usefixtures("journal")
def test_duties_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert slots(capsys) == [6, 7, 8, 9, 10]
    assert slots(capsys, "--failed") == [7, 8, 9]
    assert slots(capsys, "--epoch", "1") == [8, 9, 10]
    assert slots(capsys, "--epoch", "1", "--failed") == [8, 9]
    assert slots(capsys, "--epoch", "5") == []
    assert slots(capsys, "--role", "proposer") == [10]
    assert slots(capsys, "--role", "committee", "--failed", "--epoch", "0") == [7]
    assert slots(capsys, "--limit", "2") == [9, 10]
    assert slots(capsys, "--limit", "1", "--failed") == [9]


@pytest.mark.usefixtures("journal")
def test_a_duty_has_the_time_of_every_step_and_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--epoch", "0", "--failed") == 0
    assert capsys.readouterr().out.splitlines() == [
        "slot 7 of epoch 0: committee c1c1c1c1c1c1c1c1, failed, round 1",
        "  no_commit_quorum: prepared in round 1",
        "  silent: operators 2, 4",
        "  2023-11-14 22:14:48.000 UTC: begun +0.001, decided +0.300, accepted +0.500",
    ]
    assert run("--json", "--epoch", "0", "--failed") == 0
    [shown] = json.loads(capsys.readouterr().out)
    due = CHAIN.attestation_due(7)
    assert list(shown.pop("steps").items()) == [
        ("due", due), ("begun", due + 0.001), ("decided", due + 0.3), ("accepted", due + 0.5),
    ]  # fmt: skip
    assert shown == {
        "key": f"role0:7:{'c1' * 32}", "role": "committee", "slot": 7, "epoch": 0, "executor": "0x" + "c1" * 32,
        "state": "failed", "outcome": "failed", "reason": "no_commit_quorum", "detail": "prepared in round 1",
        "round": 1, "silent_operators": [2, 4], "included_slot": None,
    }  # fmt: skip


@pytest.mark.usefixtures("journal")
def test_good_and_late_duties_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--epoch", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "slot 8 of epoch 1: committee c1c1c1c1c1c1c1c1, late, round 1"
    assert lines[1] == "  submission_refused: 1.000 s late: the beacon node took it only after 9.000 s"
    assert lines[3] == "slot 9 of epoch 1: committee c1c1c1c1c1c1c1c1, failed, round 1"
    assert lines[-1].endswith(" UTC: begun +0.000, accepted +3.900; in the block of slot 10")
    assert lines[6] == "slot 10 of epoch 1: proposer c1c1c1c1c1c1c1c1, good, round 1"


def test_without_a_chain_epochs_are_not_known(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    with database.session() as session:
        record(session, entry(6))
    assert slots(capsys) == [6]
    assert run("--epoch", "1") == 2
    assert capsys.readouterr().err.startswith("ssv-pool: error: --epoch: 1, and the chain's constants are not known")


@pytest.mark.usefixtures("database")
def test_an_empty_journal_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr() == ("", "no such duties in the journal\n")
