"""What came of a run: counted from the chain's blocks, timed from the operators' journals, judged by checks."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console

from ssv_pool.devnet.config import CHAIN_VALIDATORS, SLOTS_PER_EPOCH, DevnetConfig
from ssv_pool.devnet.inclusion import ChainReader, Inclusion
from ssv_pool.devnet.live import distribution_text
from ssv_pool.devnet.schedule import Outage, expectation, operators_down
from ssv_pool.devnet.slashcheck import Offence, find_offences, votes_of_blocks, votes_of_record
from ssv_pool.devnet.state import Run
from ssv_pool.errors import UnavailableError
from ssv_pool.report.figures import SPANS, Distribution, decided_rounds, latencies, reasons, span_ms
from ssv_pool.report.page import Plotted, render
from ssv_pool.settings import load_settings
from ssv_pool.store.database import Database
from ssv_pool.store.journal import JournalEntry, entries

RATE_GOAL = 0.98
"""Lowest attestation rate of a good run, over the epochs in which the committee was able to work."""

NEVER = "not any more"
"""Said of an operator that did nothing after its return."""

FINALITY_LAG = 3
"""A healthy chain finalizes an epoch at most so many epochs later."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a good run."""

    name: str
    ok: bool
    detail: str
    """What was found."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The report and what its plots are drawn from."""

    report: dict[str, Any]
    plotted: Plotted
    delays: dict[str, Distribution | None]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return bool(self.report["ok"])


def collect(run: Run) -> Outcome:
    """Put a run's report together; the operators have stopped, the beacon node still answers."""
    config, epochs = run.config, range(1, run.last_epoch + 1)
    with ChainReader(run.beacon.url, SLOTS_PER_EPOCH) as reader:
        inclusion = reader.inclusion(range(config.validators), 1, run.last_epoch)
        blocks = reader.blocks(1, reader.head_slot())
        votes = [
            *votes_of_record(run.beacon.record),
            *votes_of_blocks(blocks, reader.committees(range(run.last_epoch + 1))),
        ]
    offences = find_offences(votes)
    chain = _chain(run)
    journals = {item.operator_id: _journal(item.config) for item in run.files}
    counted: dict[int, list[JournalEntry]] = {
        operator: [entry for entry in found if _counts(entry, run)] for operator, found in journals.items()
    }
    everything = [entry for found in counted.values() for entry in found]
    values = latencies(everything)
    delays = {name: Distribution.of(found) for name, found in values.items()}
    by_epoch = _by_epoch(run, inclusion)
    checks = judge(run, by_epoch, offences, chain, counted)
    duty_slots = {duty.slot for duty in inclusion.duties}
    report: dict[str, Any] = {
        "config": _config(config),
        "duties": {
            "attester": {
                "assigned": inclusion.assigned,
                "included": inclusion.included,
                "rate": round(inclusion.rate, 4),
                "correct_head": round(inclusion.correctness, 4),
                "effectiveness": round(inclusion.effectiveness, 4),
            }
        },
        "latency_ms": {name: None if found is None else found.as_dict() for name, found in delays.items()},
        "rounds": {str(number): count for number, count in decided_rounds(counted).items()},
        "slashable": len(offences),
        "chain": chain,
        "operators": [_operator(run, operator_id, found, duty_slots) for operator_id, found in counted.items()],
        "epochs": [_epoch_row(run, epoch, *by_epoch[epoch]) for epoch in epochs],
        "outages": [{"epoch": outage.epoch, "operators": list(outage.operators)} for outage in run.outages],
        "reasons": reasons(everything),
        "offences": [str(offence) for offence in offences],
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        "seconds": round(time.time() - run.started, 1),
        "ok": all(check.ok for check in checks),
    }
    return Outcome(report, _plotted(run, inclusion, everything), delays)


def write_report(run: Run, outcome: Outcome) -> None:
    """Write ``report.json`` and ``report.html`` into the report's folder."""
    folder = run.config.report_dir
    (folder / "report.json").write_text(json.dumps(outcome.report, indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(render(outcome.report, outcome.plotted), encoding="utf-8")


def print_summary(console: Console, run: Run, outcome: Outcome) -> None:
    """Print the SUMMARY block: configuration, then results."""
    report, config = outcome.report, run.config
    attester, chain = report["duties"]["attester"], report["chain"]
    memory = [operator["rss_mb"] for operator in report["operators"]]
    cpu = [operator["cpu_seconds"] for operator in report["operators"]]
    rounds = ", ".join(f"{number}: {count}" for number, count in report["rounds"].items()) or "none decided"
    kills = ", ".join(
        f"operators {', '.join(map(str, outage.operators))} in epoch {outage.epoch}" for outage in run.outages
    )
    progress = f"head {chain['head_slot']}, justified {chain['justified_epoch']}, finalized {chain['finalized_epoch']}"
    lines = [
        "SUMMARY",
        "",
        "CONFIGURATION",
        f"  operators              {config.operators} (up to {config.faulty} may fail)",
        f"  validators             {config.validators} of {CHAIN_VALIDATORS} on operators",
        f"  epochs                 {run.last_epoch} of {SLOTS_PER_EPOCH} slots of {config.slot_seconds} s",
        f"  killed                 {kills or 'none'}",
        "",
        "RESULTS",
        f"  attestations           {attester['included']} of {attester['assigned']} included, rate {attester['rate']}",
        f"  effectiveness          {attester['effectiveness']}",
        f"  right head             {attester['correct_head']}",
        *(
            f"  {name.replace('_', ' '):<22} {distribution_text(distribution)}"
            for name, distribution in outcome.delays.items()
        ),
        f"  decided rounds         {rounds}",
        f"  slashable              {report['slashable']}",
        f"  chain                  {progress}",
        f"  memory per operator    {min(memory):.0f} to {max(memory):.0f} MB",
        f"  CPU per operator       {min(cpu):.1f} to {max(cpu):.1f} s",
        "",
        "CHECKS",
        *(f"  {'ok  ' if check['ok'] else 'FAIL'} {check['name']}: {check['detail']}" for check in report["checks"]),
        "",
        f"report: {run.config.report_dir / 'report.html'}",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _config(config: DevnetConfig) -> dict[str, Any]:
    return {
        "operators": config.operators,
        "validators": config.validators,
        "chain_validators": CHAIN_VALIDATORS,
        "epochs": config.epochs,
        "slots_per_epoch": SLOTS_PER_EPOCH,
        "slot_seconds": config.slot_seconds,
        "kill": [str(kill) for kill in config.kills],
        "seed": config.seed,
    }


def _chain(run: Run) -> dict[str, int]:
    head = _beacon(run, "/eth/v1/beacon/headers/head")["header"]["message"]
    finality = _beacon(run, "/eth/v1/beacon/states/head/finality_checkpoints")
    return {
        "head_slot": int(head["slot"]),
        "justified_epoch": int(finality["current_justified"]["epoch"]),
        "finalized_epoch": int(finality["finalized"]["epoch"]),
    }


def _beacon(run: Run, path: str) -> Any:
    try:
        return httpx.get(run.beacon.url + path, timeout=10, trust_env=False).raise_for_status().json()["data"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise UnavailableError(f"beacon node: {path}: {error}") from None


def _journal(config: Any) -> list[JournalEntry]:
    database = Database(load_settings(config, environment={}).store_url)
    try:
        with database.read() as session:
            return entries(session)
    except UnavailableError:
        return []  # it never came so far as to make its tables; the checks say what that means
    finally:
        database.close()


def _counts(entry: JournalEntry, run: Run) -> bool:
    return SLOTS_PER_EPOCH <= entry.slot < (run.last_epoch + 1) * SLOTS_PER_EPOCH


def _by_epoch(run: Run, inclusion: Inclusion) -> dict[int, tuple[int, int]]:
    """Epoch → assigned, included."""
    found = dict.fromkeys(range(1, run.last_epoch + 1), (0, 0))
    for slot in inclusion.by_slot():
        epoch = slot.slot // SLOTS_PER_EPOCH
        assigned, included = found[epoch]
        found[epoch] = (assigned + slot.assigned, included + slot.included)
    return found


def _epoch_row(run: Run, epoch: int, assigned: int, included: int) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "assigned": assigned,
        "included": included,
        "expected": expectation(run.config, run.outages, epoch),
        "down": sorted(operators_down(run.outages, epoch)),
    }


def _operator(run: Run, operator_id: int, journal: Sequence[JournalEntry], duty_slots: set[int]) -> dict[str, Any]:
    process = next(operator for operator in run.operators if operator.operator_id == operator_id)
    begun = {entry.slot for entry in journal if "begun" in entry.steps}
    return {
        "id": operator_id,
        "cpu_seconds": round(process.usage.cpu_seconds, 1),
        "rss_mb": round(process.usage.rss_mb, 1),
        "restarts": process.restarts,
        "deaths": process.deaths,
        "missed_start": len(duty_slots - begun),
    }


def judge(
    run: Run,
    by_epoch: Mapping[int, tuple[int, int]],
    offences: Sequence[Offence],
    chain: Mapping[str, int],
    journals: Mapping[int, Sequence[JournalEntry]],
) -> list[Check]:
    """What a good run has to be.

    Args:
        run: what was done.
        by_epoch: epoch → attestations assigned and included.
        offences: slashable pairs that were found.
        chain: ``head_slot`` and ``finalized_epoch`` at the end.
        journals: operator → its duties.
    """
    expected = {epoch: expectation(run.config, run.outages, epoch) for epoch in by_epoch}
    able = [by_epoch[epoch] for epoch, kind in expected.items() if kind == "all"]
    assigned, included = (sum(column) for column in zip(*able, strict=True)) if able else (0, 0)
    rate = included / assigned if assigned else 0.0
    checks = [
        Check("attestations included", rate >= RATE_GOAL, f"{included} of {assigned}, at least {RATE_GOAL:.0%} wanted")
    ]
    dead = [epoch for epoch, kind in expected.items() if kind == "none"]
    if dead:
        forged = sum(by_epoch[epoch][1] for epoch in dead)
        checks.append(Check("nothing included without a quorum", forged == 0, f"{forged} in epochs {dead}"))
    checks.append(Check("nothing slashable", not offences, f"{len(offences)} found"))
    lag = chain["head_slot"] // SLOTS_PER_EPOCH - chain["finalized_epoch"]
    detail = f"epoch {chain['finalized_epoch']} at head slot {chain['head_slot']}"
    advancing = lag <= FINALITY_LAG or run.last_epoch < FINALITY_LAG
    checks.append(Check("finality advances", advancing, detail))
    returns = {
        f"operator {operator} {_first_duty(journals.get(operator, ()), outage)}"
        for outage in run.outages
        for operator in _returning(run, outage)
    }
    if returns:
        again = not any(text.endswith(NEVER) for text in returns)
        checks.append(Check("restarted operators take part again", again, ", ".join(sorted(returns))))
    died = [f"operator {operator.operator_id}: {operator.deaths}" for operator in run.operators if operator.deaths]
    checks.append(Check("no process died by itself", not died, ", ".join(died) or "none"))
    early = [str(operator.operator_id) for operator in run.operators if operator.ended_early]
    checks.append(Check("operators ran to the end", not early, f"not {', '.join(early)}" if early else "all"))
    stuck = [str(operator) for operator in run.unstoppable]
    checks.append(Check("operators stopped by themselves", not stuck, f"not {', '.join(stuck)}" if stuck else "all"))
    return checks


def _returning(run: Run, outage: Outage) -> list[int]:
    """Operators of an outage that are up in the whole epoch after it, if that counts."""
    after = outage.epoch + 1
    return sorted(set(outage.operators) - operators_down(run.outages, after)) if after <= run.last_epoch else []


def _first_duty(journal: Sequence[JournalEntry], outage: Outage) -> str:
    """When an operator completed a duty again after an outage."""
    slots = [entry.slot for entry in journal if entry.slot >= outage.return_slot and entry.outcome == "completed"]
    return f"in slot {min(slots)}, started in {outage.return_slot}" if slots else NEVER


def _plotted(run: Run, inclusion: Inclusion, journal: Sequence[JournalEntry]) -> Plotted:
    slots = inclusion.by_slot()
    return Plotted(
        slots=[slot.slot for slot in slots],
        included=[slot.included for slot in slots],
        missed=[slot.assigned - slot.included for slot in slots],
        down=[
            (outage.first_slot, outage.return_slot, f"{', '.join(map(str, outage.operators))} down")
            for outage in run.outages
        ],
        delays={
            name.replace("_", " "): [
                (entry.slot, value) for entry in journal if (value := span_ms(entry, span)) is not None
            ]
            for name, span in SPANS.items()
        },
    )
