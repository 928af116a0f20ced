"""The SUMMARY block that a person reads at the end of a run."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ssv_pool.devnet.config import CHAIN_VALIDATORS, SLOTS_PER_EPOCH, DevnetConfig, faulty
from ssv_pool.devnet.lifecycle.outcome import life_lines
from ssv_pool.devnet.outcome import Outcome
from ssv_pool.devnet.state import Run

NAMES = {
    "attester": "attestations",
    "proposer": "blocks",
    "sync_committee": "sync committee",
    "aggregator": "aggregates",
    "contribution": "sync contributions",
    "exit": "exits",
}
"""Kind of duty → what the summary calls it."""


def print_summary(console: Console, run: Run, outcome: Outcome) -> None:
    """Print the SUMMARY block: configuration, then results."""
    report = outcome.report
    chain, attester = report["chain"], report["duties"]["attester"]
    memory = [operator["rss_mb"] for operator in report["operators"]]
    cpu = [operator["cpu_seconds"] for operator in report["operators"]]
    progress = f"head {chain['head_slot']}, justified {chain['justified_epoch']}, finalized {chain['finalized_epoch']}"
    made = f"{chain['blocks']} of {chain['slots']} slots have one"
    lines = [
        "SUMMARY",
        "",
        "CONFIGURATION",
        *_configuration(run),
        "",
        "RESULTS",
        *(_line(NAMES[kind], _duty(duty)) for kind, duty in report["duties"].items() if duty["assigned"]),
        _line("effectiveness", str(attester["effectiveness"])),
        _line("right head", str(attester["correct_head"])),
        _line("sync participation", _sync(chain["sync_participation"])),
        *(_line(name.replace("_", " "), figures_text(figures)) for name, figures in report["latency_ms"].items()),
        *(
            _line(f"block: {name.replace('_', ' ')}", figures_text(figures))
            for name, figures in report["duties"]["proposer"]["phases_ms"].items()
            if figures is not None
        ),
        _line("decided rounds", _rounds(report["rounds"])),
        _line("slashable", str(report["slashable"])),
        _line("blocks of the chain", made),
        _line("chain", progress),
        _line("memory per operator", f"{min(memory):.0f} to {max(memory):.0f} MB"),
        _line("CPU per operator", f"{min(cpu):.1f} to {max(cpu):.1f} s"),
        _line("CPU of all, a slot", f"{report['cpu_seconds_per_slot']} s"),
        "",
        *((*life_lines(run.life), "") if run.life is not None else ()),
        "CHECKS",
        *(f"  {'ok  ' if check['ok'] else 'FAIL'} {check['name']}: {check['detail']}" for check in report["checks"]),
        "",
        f"report: {run.config.report_dir / 'report.html'}",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def figures_text(figures: Mapping[str, float] | None) -> str:
    """``p50 3.1  p99 12.0  max 15.2 ms``."""
    if figures is None:
        return "none measured"
    return f"p50 {figures['p50']:.1f}  p99 {figures['p99']:.1f}  max {figures['max']:.1f} ms"


def _configuration(run: Run) -> list[str]:
    config = run.config
    lines = [
        _line("operators", f"{config.operators}{_may_fail(config)}"),
        _line("validators", f"{config.validators} of {CHAIN_VALIDATORS} on operators"),
        _line("epochs", f"{run.last_epoch} of {SLOTS_PER_EPOCH} slots of {config.slot_seconds} s"),
    ]
    if config.clusters:
        lines.append(_line("committees", "; ".join(",".join(map(str, members)) for members in config.clusters)))
    if config.boole_epoch is not None:
        lines.append(_line("Boole", f"from epoch {config.boole_epoch}"))
    nodes = f"{config.beacon_nodes} {config.beacon.value}" if config.beacon_nodes > 1 else config.beacon.value
    lines.append(_line("beacon", nodes))
    kills = "; ".join(f"operators {', '.join(map(str, o.operators))} in epoch {o.epoch}" for o in run.outages)
    lines.append(_line("killed", kills or "none"))
    if run.beacon_outages:
        stops = "; ".join(f"nodes {', '.join(map(str, o.operators))} in epoch {o.epoch}" for o in run.beacon_outages)
        lines.append(_line("beacon nodes stopped", stops))
    if config.attack:
        lines.append(_line("lying beacon node", f"{config.attack}, operator {run.attacked}'s"))
    if config.exits:
        lines.append(_line("exits", ", ".join(map(str, config.exits)) + " (validators@epoch)"))
    return lines


def _may_fail(config: DevnetConfig) -> str:
    return "" if config.clusters else f" (up to {faulty(config.committees[0])} may fail)"


def _duty(duty: Mapping[str, Any]) -> str:
    word = "included" if "included" in duty else "delivered"
    return f"{duty[word]} of {duty['assigned']} {word}, rate {duty['rate']}"


def _sync(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{epoch}: {share:.1%}" for epoch, share in shares.items()) or "no blocks"


def _rounds(rounds: Mapping[str, int]) -> str:
    return ", ".join(f"{number}: {count}" for number, count in rounds.items()) or "none decided"


def _line(name: str, value: str) -> str:
    return f"  {name:<22} {value}"
