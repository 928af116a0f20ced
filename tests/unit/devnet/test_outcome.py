"""What a good run is: the checks, on made-up facts; kills and restarts in their order."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssv_pool.devnet.config import DevnetConfig, Kill
from ssv_pool.devnet.outcome import Check, judge
from ssv_pool.devnet.run import _whole_epochs, plan
from ssv_pool.devnet.schedule import Outage
from ssv_pool.devnet.state import Run
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.store.journal import JournalEntry

GENESIS = 1_000_000.0


def make_run(*outages: Outage, operators: int = 4, epochs: int = 5, **changes: Any) -> Run:
    kills = tuple(Kill(len(outage.operators), outage.epoch) for outage in outages)
    config = DevnetConfig(operators, 8, epochs, 4, Path("r"), kills, keep=changes.pop("keep", False))
    processes: list[Any] = [
        SimpleNamespace(operator_id=i, deaths=0, ended_early=False) for i in range(1, operators + 1)
    ]
    values: dict[str, Any] = {
        "config": config,
        "files": [],
        "operators": processes,
        "outages": outages,
        "beacon": None,
        "genesis_time": GENESIS,
        "started": 0.0,
        "last_epoch": epochs,
        "unstoppable": [],
    }
    return Run(**{**values, **changes})


def completed(*slots: int, outcome: str = "completed") -> list[JournalEntry]:
    return [JournalEntry(f"committee:{slot}", 0, Slot(slot), outcome=outcome) for slot in slots]


CHAIN = {"head_slot": 50, "finalized_epoch": 4}
ALL_IN = dict.fromkeys(range(1, 6), (8, 8))


def failing(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


def test_a_good_run() -> None:
    assert judge(make_run(), ALL_IN, [], CHAIN, {}) == [
        Check("attestations included", True, "40 of 40, at least 98% wanted"),
        Check("nothing slashable", True, "0 found"),
        Check("finality advances", True, "epoch 4 at head slot 50"),
        Check("no process died by itself", True, "none"),
        Check("operators ran to the end", True, "all"),
        Check("operators stopped by themselves", True, "all"),
    ]


@pytest.mark.parametrize(
    ("by_epoch", "ok", "detail"),
    [
        ({1: (50, 49), 2: (50, 49)}, True, "98 of 100, at least 98% wanted"),
        ({1: (50, 49), 2: (50, 48)}, False, "97 of 100, at least 98% wanted"),
        ({1: (8, 0)}, False, "0 of 8, at least 98% wanted"),
        ({}, False, "0 of 0, at least 98% wanted"),
    ],
)
def test_how_many_attestations_are_enough(by_epoch: dict[int, tuple[int, int]], ok: bool, detail: str) -> None:
    assert judge(make_run(), by_epoch, [], CHAIN, {})[0] == Check("attestations included", ok, detail)


def test_only_epochs_in_which_the_committee_could_work_count() -> None:
    """Two of four down in epoch 2: nothing may be included then, some in 3 while they start up, all in the others."""
    run = make_run(Outage(2, (1, 4)))
    by_epoch = {1: (8, 8), 2: (8, 0), 3: (8, 5), 4: (8, 8), 5: (8, 8)}
    journals = {1: completed(27), 4: completed(9, 26)}
    checks = judge(run, by_epoch, [], CHAIN, journals)
    assert failing(checks) == []
    assert checks[:2] == [
        Check("attestations included", True, "24 of 24, at least 98% wanted"),
        Check("nothing included without a quorum", True, "0 in epochs [2]"),
    ]
    assert checks[4] == Check(
        "restarted operators take part again",
        True,
        "operator 1 in slot 27, started in 24, operator 4 in slot 26, started in 24",
    )


def test_an_attestation_without_a_quorum_is_a_forgery() -> None:
    run = make_run(Outage(2, (1, 4)))
    checks = judge(run, {**ALL_IN, 2: (8, 1)}, [], CHAIN, {1: completed(24), 4: completed(24)})
    assert failing(checks) == [Check("nothing included without a quorum", False, "1 in epochs [2]")]


def test_an_operator_that_does_not_come_back() -> None:
    journals = {3: [*completed(9, 15), *completed(25, 30, outcome="failed")]}
    checks = judge(make_run(Outage(2, (3,))), ALL_IN, [], CHAIN, journals)
    assert failing(checks) == [Check("restarted operators take part again", False, "operator 3 not any more")]


def test_an_operator_that_is_killed_again_at_once_need_not_come_back_in_between() -> None:
    run = make_run(Outage(2, (3,)), Outage(3, (3,)))
    checks = judge(run, ALL_IN, [], CHAIN, {3: completed(33)})
    assert failing(checks) == []
    assert Check("restarted operators take part again", True, "operator 3 in slot 33, started in 32") in checks


def test_slashable_votes_fail_a_run() -> None:
    checks = judge(make_run(), ALL_IN, ["offence"], CHAIN, {})  # type: ignore[list-item]
    assert failing(checks) == [Check("nothing slashable", False, "1 found")]


@pytest.mark.parametrize(("finalized", "epochs", "ok"), [(3, 5, True), (2, 5, False), (0, 2, True), (0, 3, False)])
def test_finality_lags_three_epochs_at_most(finalized: int, epochs: int, ok: bool) -> None:
    run = make_run(epochs=epochs)
    checks = judge(run, ALL_IN, [], {"head_slot": 50, "finalized_epoch": finalized}, {})
    assert checks[2] == Check("finality advances", ok, f"epoch {finalized} at head slot 50")


def test_processes_that_die_or_do_not_end_fail_a_run() -> None:
    run = make_run(unstoppable=[2, 3])
    run.operators[0].deaths = 2  # type: ignore[misc]
    run.operators[3].ended_early = True
    assert failing(judge(run, ALL_IN, [], CHAIN, {})) == [
        Check("no process died by itself", False, "operator 1: 2"),
        Check("operators ran to the end", False, "not 4"),
        Check("operators stopped by themselves", False, "not 2, 3"),
    ]


def test_kills_and_restarts_come_at_the_starts_of_epochs() -> None:
    run = make_run(Outage(2, (1, 3)), operators=7)
    assert plan(run) == [
        (GENESIS + 64, 1, "kill"),
        (GENESIS + 64, 3, "kill"),
        (GENESIS + 96, 1, "restart"),
        (GENESIS + 96, 3, "restart"),
    ]


def test_who_returns_and_is_killed_at_once_ends_up_down() -> None:
    run = make_run(Outage(2, (1,)), Outage(3, (1,)))
    assert [(when - GENESIS, action) for when, _, action in plan(run)] == [
        (64, "kill"),
        (96, "restart"),
        (96, "kill"),
        (128, "restart"),
    ]


@pytest.mark.parametrize(
    ("seconds", "keep", "epoch"),
    [(-50, False, 0), (0, False, 0), (63.9, False, 0), (64, False, 1), (999, False, 5), (999, True, 30)],
)
def test_an_interrupted_run_counts_its_whole_epochs(seconds: float, keep: bool, epoch: int) -> None:
    assert _whole_epochs(replace(make_run(keep=keep)), GENESIS + seconds) == epoch
