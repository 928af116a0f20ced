"""The report of a run: the facts as ``report.json`` and as a page."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.checks import judge
from ssv_pool.devnet.config import CHAIN_VALIDATORS, SLOTS_PER_EPOCH, DevnetConfig
from ssv_pool.devnet.facts import Facts, gather
from ssv_pool.devnet.lifecycle.outcome import life_report
from ssv_pool.devnet.participation import Result, Tally, participation_by_epoch
from ssv_pool.devnet.schedule import operators_down, overall_expectation
from ssv_pool.devnet.state import Run
from ssv_pool.report.figures import (
    PHASES,
    ROLES,
    SPANS,
    decided_rounds,
    distributions,
    of_kind,
    reasons,
    span_ms,
)
from ssv_pool.report.page import Plotted, render
from ssv_pool.store.journal import JournalEntry

COUNTED_AS = {"aggregator": "delivered", "contribution": "delivered"}
"""Kind of duty → what the report calls a duty that was done, unless it is ``included`` in a block."""

DUTY = {"duty": SPANS["duty"]}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The report and what its plots are drawn from."""

    report: dict[str, Any]
    plotted: Plotted

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return bool(self.report["ok"])


def collect(run: Run) -> Outcome:
    """Put a run's report together; the operators have stopped, a beacon node still answers.

    Raises:
        UnavailableError: it does not answer.
        ValueError: what it says contradicts itself.
    """
    return outcome_of(run, gather(run))


def outcome_of(run: Run, facts: Facts) -> Outcome:
    """The report that follows from the facts."""
    checks = judge(run, facts)
    attesting = of_kind(facts.everything, "attester")
    committee_journals = {operator: of_kind(found, "attester") for operator, found in facts.journals.items()}
    slots = (run.last_epoch + 1) * SLOTS_PER_EPOCH
    cpu = sum(operator.usage.cpu_seconds for operator in run.operators)
    report: dict[str, Any] = {
        "config": _config(run.config),
        "duties": {kind: _duty(kind, facts) for kind in ROLES},
        "latency_ms": distributions(attesting),
        "rounds": {str(number): count for number, count in decided_rounds(committee_journals).items()},
        "slashable": len(facts.offences),
        "chain": _chain(run, facts),
        "operators": [_operator(run, facts, operator_id) for operator_id in facts.journals],
        "epochs": [_epoch(run, facts, epoch) for epoch in range(1, run.last_epoch + 1)],
        "outages": [{"epoch": outage.epoch, "operators": list(outage.operators)} for outage in run.outages],
        "beacon_outages": [{"epoch": outage.epoch, "nodes": list(outage.operators)} for outage in run.beacon_outages],
        "attacked_operator": run.attacked,
        "reasons": reasons(facts.everything),
        "offences": [str(offence) for offence in facts.offences],
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        "cpu_seconds_per_slot": round(cpu / slots, 2),
        "seconds": round(time.time() - run.started, 1),
        "ok": all(check.ok for check in checks),
    }
    if run.life is not None:
        report["lifecycle"] = life_report(run.life)
    return Outcome(report, _plotted(run, facts))


def write_report(run: Run, outcome: Outcome) -> None:
    """Write ``report.json`` and ``report.html`` into the report's folder."""
    folder = run.config.report_dir
    (folder / "report.json").write_text(json.dumps(outcome.report, indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(render(outcome.report, outcome.plotted), encoding="utf-8")


def _config(config: DevnetConfig) -> dict[str, Any]:
    return {
        "operators": config.operators,
        "validators": config.validators,
        "chain_validators": CHAIN_VALIDATORS,
        "clusters": [list(committee) for committee in config.committees],
        "epochs": config.epochs,
        "slots_per_epoch": SLOTS_PER_EPOCH,
        "slot_seconds": config.slot_seconds,
        "kill": [str(kill) for kill in config.kills],
        "boole_epoch": config.boole_epoch,
        "beacon": config.beacon.value,
        "beacon_nodes": config.beacon_nodes,
        "stop_beacon": [str(stop) for stop in config.beacon_stops],
        "attack": str(config.attack) if config.attack else None,
        "exit": [str(leaving) for leaving in config.exits],
        "seed": config.seed,
    }


def _duty(kind: str, facts: Facts) -> dict[str, Any]:
    """One kind of duty: counted on the chain, timed and explained by the operators' journals."""
    tally = facts.tally(kind)
    journals = {operator: of_kind(found, kind) for operator, found in facts.journals.items()}
    own = [entry for found in journals.values() for entry in found]
    found: dict[str, Any] = {
        "assigned": tally.assigned,
        COUNTED_AS.get(kind, "included"): tally.done,
        "rate": round(tally.rate, 4),
    }
    if kind == "attester":
        found["correct_head"] = round(facts.inclusion.correctness, 4)
        found["effectiveness"] = round(facts.inclusion.effectiveness, 4)
    found["delay_ms"] = distributions(own, DUTY)["duty"]
    if kind != "exit":
        found["rounds"] = {str(number): count for number, count in decided_rounds(journals).items()}
    if kind == "proposer":
        found["phases_ms"] = distributions(own, PHASES)
    found["reasons"] = reasons(own)
    return found


def _chain(run: Run, facts: Facts) -> dict[str, Any]:
    blocks = {block.slot for block in facts.blocks}
    counted = range(SLOTS_PER_EPOCH, (run.last_epoch + 1) * SLOTS_PER_EPOCH)
    shares = participation_by_epoch(facts.blocks, SLOTS_PER_EPOCH)
    return {
        "head_slot": facts.chain.head_slot,
        "justified_epoch": facts.chain.justified_epoch,
        "finalized_epoch": facts.chain.finalized_epoch,
        "slots": len(counted),
        "blocks": sum(slot in blocks for slot in counted),
        "missed_slots": [slot for slot in counted if slot not in blocks],
        "sync_participation": {
            str(epoch): round(share, 4) for epoch, share in shares.items() if epoch <= run.last_epoch
        },
    }


def _epoch(run: Run, facts: Facts, epoch: int) -> dict[str, Any]:
    def counted(kind: str) -> Tally:
        return facts.tally(kind, lambda result: result.slot // SLOTS_PER_EPOCH == epoch)

    attester, proposer, sync = counted("attester"), counted("proposer"), counted("sync_committee")
    return {
        "epoch": epoch,
        "assigned": attester.assigned,
        "included": attester.done,
        "proposals": proposer.assigned,
        "blocks": proposer.done,
        "sync_participation": round(sync.rate, 4) if sync.assigned else None,
        "expected": overall_expectation(run.config, run.outages, epoch),
        "down": sorted(operators_down(run.outages, epoch)),
    }


def _operator(run: Run, facts: Facts, operator_id: int) -> dict[str, Any]:
    process = next(operator for operator in run.operators if operator.operator_id == operator_id)
    journal = facts.journals[operator_id]
    begun = {entry.slot for entry in of_kind(journal, "attester") if "begun" in entry.steps}
    own_slots = {
        duty.slot for duty in facts.inclusion.duties if operator_id in run.config.committee_of(duty.validator_index)
    }
    return {
        "id": operator_id,
        "cpu_seconds": round(process.usage.cpu_seconds, 1),
        "rss_mb": round(process.usage.rss_mb, 1),
        "restarts": process.restarts,
        "deaths": process.deaths,
        "missed_start": len(own_slots - begun),
        "duties": {kind: sum(_completed(entry) for entry in of_kind(journal, kind)) for kind in ROLES},
        "failed": sum(not _completed(entry) for entry in journal if entry.outcome is not None),
    }


def _completed(entry: JournalEntry) -> bool:
    return entry.outcome == "completed"


def _plotted(run: Run, facts: Facts) -> Plotted:
    slots = facts.inclusion.by_slot()
    journal = facts.everything
    return Plotted(
        slots=[slot.slot for slot in slots],
        included=[slot.included for slot in slots],
        missed=[slot.assigned - slot.included for slot in slots],
        down=[
            (outage.first_slot, outage.return_slot, f"{word}{', '.join(map(str, outage.operators))} down")
            for planned, word in ((run.outages, ""), (run.beacon_outages, "beacon node "))
            for outage in planned
        ],
        delays={name.replace("_", " "): _points(of_kind(journal, "attester"), span) for name, span in SPANS.items()},
        duties={
            label: _points(of_kind(journal, kind), SPANS["duty"])
            for kind, label in (
                ("attester", "attestations, sync messages"),
                ("proposer", "blocks"),
                ("aggregator", "aggregates"),
                ("contribution", "sync contributions"),
                ("exit", "exits"),
            )
        },
        phases={name.replace("_", " "): _points(of_kind(journal, "proposer"), span) for name, span in PHASES.items()},
        sync=_by_slot(facts.results.get("sync_committee", ())),
        blocks=_by_slot(facts.results.get("proposer", ())),
    )


def _points(journal: Sequence[JournalEntry], span: tuple[str, str]) -> list[tuple[int, float]]:
    return [(entry.slot, value) for entry in journal if (value := span_ms(entry, span)) is not None]


def _by_slot(results: Sequence[Result]) -> Mapping[int, tuple[int, int]]:
    """Slot → done, missed."""
    found: dict[int, tuple[int, int]] = {}
    for result in results:
        done, missed = found.get(result.slot, (0, 0))
        found[result.slot] = (done + result.done, missed + (not result.done))
    return dict(sorted(found.items()))
