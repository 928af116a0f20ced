"""What a good run is: the checks, on made-up facts."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from devnet_runs import ALL_IN, GENESIS, duties, make_facts, make_run

from ssv_pool.devnet.checks import Check, judge
from ssv_pool.devnet.config import Attack, BeaconKind, BeaconStop, Exit
from ssv_pool.devnet.lifecycle.books import Books
from ssv_pool.devnet.lifecycle.steps import STEPS, StepLog
from ssv_pool.devnet.participation import Result
from ssv_pool.devnet.schedule import Outage
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.store.journal import JournalEntry


def completed(*slots: int, outcome: str = "completed", reason: str | None = None) -> list[JournalEntry]:
    return [JournalEntry(f"committee:{slot}", 0, Slot(slot), outcome=outcome, reason=reason) for slot in slots]


def failing(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


def named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_a_good_run_of_attestations() -> None:
    assert judge(make_run(), make_facts()) == [
        Check("attestations included", True, "40 of 40, at least 99% wanted"),
        Check("nothing slashable", True, "0 found"),
        Check("finality advances", True, "epoch 4 at head slot 50"),
        Check("no process died by itself", True, "none"),
        Check("operators ran to the end", True, "all"),
        Check("operators stopped by themselves", True, "all"),
    ]


def test_a_good_run_of_every_duty() -> None:
    results = {kind: duties(ALL_IN) for kind in ("proposer", "sync_committee", "aggregator", "contribution")}
    checks = judge(make_run(validators=64), make_facts(results=results))
    assert failing(checks) == []
    assert checks[1:5] == [
        Check("proposed blocks on the chain", True, "40 of 40, at most 0% missed wanted"),
        Check("sync committee signatures in blocks", True, "40 of 40, at least 99% wanted"),
        Check("aggregates delivered", True, "40 of 40, at least 99% wanted"),
        Check("sync contributions delivered", True, "40 of 40, at least 99% wanted"),
    ]


@pytest.mark.parametrize(
    ("by_epoch", "ok", "detail"),
    [
        ({1: (50, 49), 2: (50, 50)}, True, "99 of 100, at least 99% wanted"),
        ({1: (50, 49), 2: (50, 49)}, False, "98 of 100, at least 99% wanted"),
        ({1: (8, 0)}, False, "0 of 8, at least 99% wanted"),
        ({}, False, "0 of 0, at least 99% wanted"),
    ],
)
def test_how_many_are_enough(by_epoch: dict[int, tuple[int, int]], ok: bool, detail: str) -> None:
    assert judge(make_run(), make_facts(by_epoch))[0] == Check("attestations included", ok, detail)
    results = {"sync_committee": duties(by_epoch)}
    if by_epoch:
        checks = judge(make_run(), make_facts(results=results))
        assert checks[1] == Check("sync committee signatures in blocks", ok, detail)


@pytest.mark.parametrize(
    "changes",
    [
        {"outages": (Outage(2, (1,)),)},
        {"attack": Attack("slow")},
        {"beacon_nodes": 2, "beacon_stops": (BeaconStop(1, 2),)},
        {"beacon": BeaconKind.LODESTAR},
    ],
)
def test_less_is_enough_where_something_is_broken_on_purpose(changes: dict[str, Any]) -> None:
    changes = dict(changes)
    run = make_run(*changes.pop("outages", ()), **changes)
    enough, too_few = {1: (100, 97)}, {1: (100, 96)}
    assert judge(run, make_facts(enough))[0].ok
    assert judge(run, make_facts(too_few))[0] == Check("attestations included", False, "96 of 100, at least 97% wanted")


@pytest.mark.parametrize(
    ("missed", "killed", "ok"), [(0, False, True), (1, False, False), (2, True, True), (3, True, False)]
)
def test_how_many_blocks_may_be_missed(missed: int, killed: bool, ok: bool) -> None:
    run = make_run(*([Outage(2, (3,))] if killed else []), validators=64)
    facts = make_facts(results={"proposer": duties({1: (40, 40 - missed)})}, journals={3: completed(24)})
    assert named(judge(run, facts), "proposed blocks on the chain").ok is ok


def test_only_epochs_in_which_the_committee_could_work_count() -> None:
    """Two of four down in epoch 2: nothing may be included then, some in 3 while they start up, all in the others."""
    run = make_run(Outage(2, (1, 4)))
    by_epoch = {1: (8, 8), 2: (8, 0), 3: (8, 5), 4: (8, 8), 5: (8, 8)}
    journals = {1: completed(27), 4: completed(9, 26)}
    checks = judge(run, make_facts(by_epoch, journals=journals))
    assert failing(checks) == []
    assert checks[:2] == [
        Check("attestations included", True, "24 of 24, at least 97% wanted"),
        Check("nothing included without a quorum", True, "0 in epochs []"),
    ]
    assert named(checks, "restarted operators take part again") == Check(
        "restarted operators take part again",
        True,
        "operator 1 in slot 27, started in 24, operator 4 in slot 26, started in 24",
    )


def test_each_committee_counts_by_itself() -> None:
    """Operators 5 and 6 are down: the validators of 4,5,6,7 (odd ones) sign nothing, the others all."""
    clusters = ((1, 2, 3, 4), (4, 5, 6, 7))
    run = make_run(Outage(2, (5, 6)), operators=7, clusters=clusters)
    journals = {5: completed(24), 6: completed(24)}
    good = [Result(index, 16 + index, index % 2 == 0) for index in range(8)]
    checks = judge(run, make_facts(journals=journals, results={"attester": good}))
    assert failing(checks) == []
    assert checks[0].detail == "4 of 4, at least 97% wanted"
    forged = [Result(index, 16 + index, True) for index in range(8)]
    checks = judge(run, make_facts(journals=journals, results={"attester": forged}))
    assert failing(checks) == [Check("nothing included without a quorum", False, "4 in epochs [2]")]


def test_an_attestation_without_a_quorum_is_a_forgery() -> None:
    run = make_run(Outage(2, (1, 4)))
    facts = make_facts({**ALL_IN, 2: (8, 1)}, journals={1: completed(24), 4: completed(24)})
    assert failing(judge(run, facts)) == [Check("nothing included without a quorum", False, "1 in epochs [2]")]


def test_a_chain_that_stood_still_owes_no_blocks_and_finalizes_later() -> None:
    run = make_run(Outage(2, (1, 4)), validators=64)
    journals = {1: completed(24), 4: completed(24)}
    by_epoch = {**ALL_IN, 2: (8, 0), 3: (8, 2)}
    results = {"proposer": duties(by_epoch)}
    assert failing(judge(run, make_facts(by_epoch, results=results, journals=journals, finalized=1))) == []


def test_an_operator_that_does_not_come_back() -> None:
    journals = {3: [*completed(9, 15), *completed(25, 30, outcome="failed")]}
    checks = judge(make_run(Outage(2, (3,))), make_facts(journals=journals))
    assert failing(checks) == [Check("restarted operators take part again", False, "operator 3 not any more")]


def test_an_operator_that_is_killed_again_at_once_need_not_come_back_in_between() -> None:
    run = make_run(Outage(2, (3,)), Outage(3, (3,)))
    checks = judge(run, make_facts(journals={3: completed(33)}))
    assert failing(checks) == []
    assert Check("restarted operators take part again", True, "operator 3 in slot 33, started in 32") in checks


def test_slashable_signatures_fail_a_run() -> None:
    checks = judge(make_run(), make_facts(offences=["offence"]))
    assert failing(checks) == [Check("nothing slashable", False, "1 found")]


@pytest.mark.parametrize(("finalized", "epochs", "ok"), [(3, 5, True), (2, 5, False), (0, 2, True), (0, 3, False)])
def test_finality_lags_three_epochs_at_most(finalized: int, epochs: int, ok: bool) -> None:
    checks = judge(make_run(epochs=epochs), make_facts(finalized=finalized))
    assert checks[2] == Check("finality advances", ok, f"epoch {finalized} at head slot 50")


def test_exits_are_on_the_chain_soon_and_nothing_is_signed_afterwards() -> None:
    run = make_run(exits=(Exit(2, 1),), exits_asked={7: GENESIS + 32, 6: GENESIS + 32})
    good = make_facts(exits_included={7: 20, 6: 32}, exit_epochs={7: 7, 6: 7})
    checks = judge(run, good)
    assert failing(checks) == []
    assert named(checks, "exits on the chain").detail == "in slots 20, 32"
    assert named(checks, "nothing signed after an exit").detail == "none; out in epochs 7, 7"
    late = make_facts(exits_included={7: 33}, after_exit=["validator 7: attestation for slot 60"])
    assert failing(judge(run, late)) == [
        Check("exits on the chain", False, "validator 7 in slot 33, validator 6 not"),
        Check("nothing signed after an exit", False, "validator 7: attestation for slot 60"),
    ]


def test_the_journal_names_a_lying_beacon_node() -> None:
    run = make_run(attack=Attack("wrong-checkpoint", 2), attacked=3)
    name = "the lied-to operator's journal says so"
    silent = judge(run, make_facts(journals={3: completed(17, 18)}))
    assert failing(silent) == [Check(name, False, "operator 3, wrong-checkpoint: 0 of 2 duties named")]
    refused = completed(18, outcome="failed", reason="proposal_refused")
    told = judge(run, make_facts(journals={3: [*completed(17), *refused]}))
    assert failing(told) == []
    assert named(told, name).detail == "operator 3, wrong-checkpoint: 1 of 2 duties named"
    signed = judge(run, make_facts(journals={3: refused}, wrong_votes=["validator 1: rejected: source"]))
    assert failing(signed) == [Check("no vote of a view that nobody has", False, "1: validator 1: rejected: source")]


def test_an_attack_that_harms_nothing_need_not_be_named() -> None:
    run = make_run(attack=Attack("dropped-streams"), attacked=3)
    assert failing(judge(run, make_facts(journals={3: completed(17, 18)}))) == []


def test_processes_that_die_or_do_not_end_fail_a_run() -> None:
    run = make_run(unstoppable=[2, 3])
    run.operators[0].deaths = 2  # type: ignore[misc]
    run.operators[3].ended_early = True
    assert failing(judge(run, make_facts())) == [
        Check("no process died by itself", False, "operator 1: 2"),
        Check("operators ran to the end", False, "not 4"),
        Check("operators stopped by themselves", False, "not 2, 3"),
    ]


def life_of(*seen: str, books: Books | None = None, error: str = "") -> Any:
    log = StepLog(GENESIS, 3, lambda: GENESIS)
    for name in seen:
        log.note(name, "seen")
    return SimpleNamespace(log=log, books=books, error=error)


BALANCED = Books(36, 32, 33, 0, 1, 34, 2, 2, 0, 0, 1, {"operator 1": 2}, 0)


@pytest.mark.parametrize(
    ("life", "good"),
    [
        (life_of(*STEPS, books=BALANCED), [True, True]),
        (life_of(*list(STEPS)[:-1], books=BALANCED), [False, True]),
        (life_of(*STEPS, books=replace(BALANCED, payouts=35)), [True, False]),
        (life_of(*STEPS, books=replace(BALANCED, returned=32)), [True, False]),
        (life_of("stake", error="ContractError: register: refused"), [False, False]),
    ],
)
def test_a_life_is_good_with_every_step_and_to_the_wei(life: Any, good: list[bool]) -> None:
    run = make_run(lifecycle=True, life=life)
    checks = [check for check in judge(run, make_facts()) if "life" in check.name or "books" in check.name]
    assert [check.ok for check in checks] == good
    if life.error:
        assert "1 seen, not: register, fund" in checks[0].detail
        assert checks[0].detail.endswith(life.error)
        assert checks[1].detail == "the life did not come to its end"


def test_without_a_life_nothing_is_asked_of_it() -> None:
    assert not [check for check in judge(make_run(), make_facts()) if "books" in check.name]
