"""The report of a run, made from made-up facts: what is counted where, and what a person reads."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from devnet_runs import duties, make_facts, make_run
from rich.console import Console

from ssv_pool.devnet.config import Attack, BeaconStop, Exit
from ssv_pool.devnet.facts import Facts
from ssv_pool.devnet.inclusion import CanonicalBlock, DutyResult, Inclusion
from ssv_pool.devnet.lifecycle.books import Books
from ssv_pool.devnet.lifecycle.steps import StepLog
from ssv_pool.devnet.outcome import outcome_of, write_report
from ssv_pool.devnet.participation import Result
from ssv_pool.devnet.processes import Usage
from ssv_pool.devnet.schedule import Outage
from ssv_pool.devnet.state import Run
from ssv_pool.devnet.summary import print_summary
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.store.journal import JournalEntry

STEPS = ("due", "begun", "pre_consensus", "asked", "received", "consensus_started", "decided", "reconstructed")


def entry(role: RunnerRole, slot: int, outcome: str = "completed", round_: int = 1, **changes: Any) -> JournalEntry:
    """A duty in which a step is 10 ms after the other; accepted 100 ms after the last."""
    steps = {name: slot + place / 100 for place, name in enumerate(STEPS)}
    steps |= {"submitted": slot + 0.1, "accepted": slot + 0.2}
    values = {"outcome": outcome, "round": round_, "steps": steps, **changes}
    return JournalEntry(f"{role.name.lower()}:{slot}:aa", int(role), Slot(slot), **values)


def process(number: int) -> Any:
    return SimpleNamespace(
        operator_id=number, deaths=0, ended_early=False, restarts=1, usage=Usage(cpu_seconds=12.0, rss_mb=300.4)
    )


@pytest.fixture
def run() -> Run:
    """Four operators, one epoch, everything that a run can be asked for."""
    run = make_run(
        Outage(2, (3,)),
        epochs=3,
        validators=64,
        beacon_nodes=2,
        beacon_stops=(BeaconStop(1, 1),),
        attack=Attack("stale-head"),
        exits=(Exit(1, 1),),
        attacked=2,
        exits_asked={63: 1_000_040.0},
        last_epoch=1,
    )
    return replace(run, operators=[process(number) for number in (1, 2, 3, 4)], beacon_outages=(Outage(1, (2,)),))


@pytest.fixture
def facts() -> Facts:
    """Epoch 1: everything done but one block, in slot 15, and its sync signatures."""
    journals = {
        1: [
            entry(RunnerRole.COMMITTEE, 8),
            entry(RunnerRole.PROPOSER, 8, round_=2),
            entry(RunnerRole.AGGREGATOR, 8),
            entry(RunnerRole.SYNC_COMMITTEE_CONTRIBUTION, 8, "failed", reason="no_signature_quorum"),
            entry(RunnerRole.VOLUNTARY_EXIT, 9),
        ],
        2: [
            entry(RunnerRole.COMMITTEE, 8, "failed", reason="no_proposal", steps={"due": 8.0, "begun": 8.001}),
            entry(RunnerRole.PROPOSER, 8, round_=2),
        ],
    }
    inclusion = Inclusion(tuple(DutyResult(index, 8 + index, 9 + index, 9 + index, True) for index in range(8)))
    results = {
        "attester": [Result(index, 8 + index, True) for index in range(8)],
        "proposer": [Result(index, 8 + index, index < 7) for index in range(8)],
        "sync_committee": [Result(index, 8 + index, True) for index in range(7)],
        "aggregator": duties({1: (8, 7)}),
        "contribution": duties({1: (8, 8)}),
        "exit": [Result(63, 12, True)],
    }
    blocks = [CanonicalBlock(slot, bytes(32), (), slot - 8, (True,) * 3 + (slot != 9,)) for slot in range(1, 15)]
    return replace(
        make_facts(journals=journals, exits_included={63: 12}, exit_epochs={63: 6}, blocks=blocks),
        inclusion=inclusion,
        results=results,
    )


def test_every_kind_of_duty_is_counted_timed_and_explained(run: Run, facts: Facts) -> None:
    found = outcome_of(run, facts).report["duties"]
    delay = {"p50": 200.0, "p99": 200.0, "max": 200.0, "n": 1}
    assert found["attester"] == {
        "assigned": 8,
        "included": 8,
        "rate": 1.0,
        "correct_head": 1.0,
        "effectiveness": 1.0,
        "delay_ms": delay,
        "rounds": {"1": 1},
        "reasons": {"no_proposal": 1},
    }
    assert found["aggregator"] == {
        "assigned": 8,
        "delivered": 7,
        "rate": 0.875,
        "delay_ms": delay,
        "rounds": {"1": 1},
        "reasons": {},
    }
    assert found["contribution"]["reasons"] == {"no_signature_quorum": 1}
    assert found["exit"] == {"assigned": 1, "included": 1, "rate": 1.0, "delay_ms": delay, "reasons": {}}
    proposer = found["proposer"]
    assert (proposer["assigned"], proposer["included"], proposer["rounds"]) == (8, 7, {"2": 1})
    assert {name: figures["p50"] for name, figures in proposer["phases_ms"].items()} == {
        "randao": 10.0,
        "block_fetch": 10.0,
        "consensus": 10.0,
        "post_consensus": 10.0,
        "submit": 100.0,
    }
    assert {figures["n"] for figures in proposer["phases_ms"].values()} == {2}


def test_the_chain_is_told_as_blocks_show_it(run: Run, facts: Facts) -> None:
    report = outcome_of(run, facts).report
    assert report["chain"] == {
        "head_slot": 50,
        "justified_epoch": 5,
        "finalized_epoch": 4,
        "slots": 8,
        "blocks": 7,
        "missed_slots": [15],
        "sync_participation": {"0": 1.0, "1": round(23 / 24, 4)},
    }
    assert report["epochs"] == [
        {
            "epoch": 1,
            "assigned": 8,
            "included": 8,
            "proposals": 8,
            "blocks": 7,
            "sync_participation": 1.0,
            "expected": "all",
            "down": [],
        }
    ]
    assert report["cpu_seconds_per_slot"] == 3.0
    first, second = report["operators"]
    assert first["duties"] == {
        "attester": 1,
        "proposer": 1,
        "sync_committee": 1,
        "aggregator": 1,
        "contribution": 0,
        "exit": 1,
    }
    assert (first["failed"], second["failed"], first["missed_start"]) == (1, 1, 7)


def test_a_run_is_good_only_if_every_check_holds(run: Run, facts: Facts) -> None:
    bad = outcome_of(run, facts)
    assert not bad.ok
    names = {check["name"] for check in bad.report["checks"] if not check["ok"]}
    assert names == {"proposed blocks on the chain", "aggregates delivered"}
    everything = {kind: [replace(r, done=True) for r in results] for kind, results in facts.results.items()}
    assert outcome_of(run, replace(facts, results=everything)).ok


def test_what_is_written_is_what_was_found(run: Run, facts: Facts, tmp_path: Any) -> None:
    run.config = replace(run.config, report_dir=tmp_path)
    outcome = outcome_of(run, facts)
    write_report(run, outcome)
    assert json.loads((tmp_path / "report.json").read_text()) == outcome.report
    assert (tmp_path / "report.html").read_text().rstrip().endswith("</html>")


def test_a_person_reads_it_all(run: Run, facts: Facts) -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    print_summary(console, run, outcome_of(run, facts))
    text = console.export_text()
    for line in (
        "  operators              4 (up to 1 may fail)",
        "  validators             64 of 64 on operators",
        "  beacon                 2 embedded",
        "  killed                 operators 3 in epoch 2",
        "  beacon nodes stopped   nodes 2 in epoch 1",
        "  lying beacon node      stale-head, operator 2's",
        "  exits                  1@1 (validators@epoch)",
        "  attestations           8 of 8 included, rate 1.0",
        "  blocks                 7 of 8 included, rate 0.875",
        "  aggregates             7 of 8 delivered, rate 0.875",
        "  sync participation     0: 100.0%, 1: 95.8%",
        "  signature              p50 10.0  p99 10.0  max 10.0 ms",
        "  block: submit          p50 100.0  p99 100.0  max 100.0 ms",
        "  blocks of the chain    7 of 8 slots have one",
        "  FAIL proposed blocks on the chain: 7 of 8, at most 5% missed wanted",
        "  ok   exits on the chain: in slots 12",
    ):
        assert line in text.splitlines()


def test_a_run_without_anything_has_a_report_too(run: Run) -> None:
    nothing = make_facts({}, journals={1: [], 2: [], 3: [], 4: []})
    outcome = outcome_of(run, nothing)
    assert not outcome.ok
    console = Console(width=200, file=io.StringIO(), record=True)
    print_summary(console, run, outcome)
    assert "none measured" in console.export_text()


def test_a_life_is_in_the_report_and_in_the_summary(run: Run, facts: Facts, tmp_path: Any) -> None:
    log = StepLog(run.genesis_time, 4, lambda: run.genesis_time + 40)
    log.note("stake", "36 ETH")
    books = Books(36, 32, 33, 0, 1, 34, 2, 2, 0, 0, 1, {"operator 1": 2}, 0)
    life: Any = SimpleNamespace(log=log, error="", validator=64, duties=(4, 5), books=books)
    run = replace(run, life=life, config=replace(run.config, report_dir=tmp_path))
    outcome = outcome_of(run, facts)
    write_report(run, outcome)
    found = json.loads((tmp_path / "report.json").read_text())["lifecycle"]
    assert [(step["name"], step["slot"], step["epoch"]) for step in found["steps"]] == [("stake", 10, 1)]
    assert len(found["missing"]) == 15
    assert found["validator"] == {"index": 64, "attestations": 5, "included": 4}
    assert (found["books"]["payouts"], found["books"]["balanced"]) == ("34", True)
    assert not outcome.ok, "steps are missing"
    assert "stakers deposit" in (tmp_path / "report.html").read_text()
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, run, outcome)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "  not seen: payout" in text
    assert "  = payouts              0.000000000000000034 ETH" in text
