"""The HTML report of a devnet run: one file, no scripts, nothing fetched from elsewhere."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from ssv_pool.report import life, plots
from ssv_pool.report.table import table


@dataclass(frozen=True, slots=True)
class Plotted:
    """What the plots are drawn from."""

    slots: Sequence[int]
    """Slots with duties, ascending."""
    included: Sequence[int]
    """Attestations of each slot that are in blocks."""
    missed: Sequence[int]
    """Those that are not."""
    down: Sequence[tuple[int, int, str]]
    """Spans of slots in which operators were down: first, one after the last, label."""
    delays: Mapping[str, Sequence[tuple[int, float]]]
    """Latency → (slot, milliseconds) of each attestation duty of each operator."""
    duties: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Kind of duty → (slot, milliseconds from its due instant until it was accepted)."""
    phases: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Phase of a proposal → (slot, milliseconds)."""
    sync: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Slot of signing → sync committee signatures included and missed."""
    blocks: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Slot → blocks proposed and missed."""


STYLE = resources.files("ssv_pool.report").joinpath("page.css").read_text(encoding="utf-8")


PHASE_MEANINGS = {
    "randao": "begun → quorum of RANDAO signatures",
    "block_fetch": "beacon node asked → block received",
    "consensus": "consensus started → commit quorum",
    "post_consensus": "decided → signature rebuilt",
    "submit": "submitted → accepted by the beacon node",
}


def render(report: Mapping[str, Any], plotted: Plotted) -> str:
    """The page for a report (the content of ``report.json``)."""
    rounds = {int(number): count for number, count in report["rounds"].items()}
    per_epoch = report["config"]["slots_per_epoch"]
    proposer = report["duties"]["proposer"]
    parts = [
        _headline(ok=report["ok"]),
        f"<p class='dim'>{_config(report)}</p>",
        _cards(report),
        *([life.section(report["lifecycle"], per_epoch)] if "lifecycle" in report else []),
        "<h2>Duties</h2>",
        _duties(report["duties"]),
        _figure(
            "Attestations by slot of the duty",
            plots.inclusion(plotted.slots, plotted.included, plotted.missed, plotted.down, per_epoch),
        ),
        _figure(
            "Sync committee signatures and blocks by slot",
            plots.blocks_and_sync(plotted.blocks, plotted.sync, plotted.down, per_epoch),
        ),
        _figure(
            "From the due instant until accepted, by slot of the duty, all operators",
            plots.delays_by_slot(plotted.duties, per_epoch),
        ),
        "<div class='row'>",
        _figure("Attestations: share of duties that took at most…", plots.delay_distributions(_values(plotted.delays))),
        _figure("Attestations by the round that decided", plots.rounds(rounds)),
        "</div>",
        "<h2>Attestation latency</h2>",
        _latency_table(report["latency_ms"]),
        *_proposals(proposer, plotted),
        "<h2>Checks</h2>",
        table(("check", "found", ""), map(_check_row, report["checks"]), texts=(0, 1)),
        "<h2>Epochs</h2>",
        table(("epoch", "attestations", "blocks", "sync", "expected", "down"), map(_epoch_row, report["epochs"])),
        "<h2>Operators</h2>",
        table(
            ("operator", "CPU", "memory", "restarts", "deaths", "missed starts", "failed duties"),
            map(_operator_row, report["operators"]),
        ),
        _reasons(report["duties"]),
        _offences(report["offences"]),
    ]
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        f"content='width=device-width'><title>Devnet run</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _values(points: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, list[float]]:
    return {name: [value for _, value in found] for name, found in points.items()}


def _headline(*, ok: bool) -> str:
    kind, word = ("good", "good") if ok else ("bad", "not good")
    return f"<h1>Devnet run <span class='verdict {kind}'>{word}</span></h1>"


def _config(report: Mapping[str, Any]) -> str:
    config = report["config"]
    # A life ends when it ends: its options say only when it has to.
    epochs = len(report["epochs"]) if "lifecycle" in report else config["epochs"]
    parts = [
        f"{config['operators']} operators",
        f"{config['validators']} of the chain's {config['chain_validators']} validators",
        f"{epochs} epochs of {config['slots_per_epoch']} slots of {config['slot_seconds']} s",
    ]
    if len(config["clusters"]) > 1:
        parts.append("committees " + "; ".join(",".join(map(str, members)) for members in config["clusters"]))
    nodes = f"{config['beacon_nodes']} {config['beacon']} beacon nodes"
    parts.append(nodes if config["beacon_nodes"] > 1 else f"{config['beacon']} beacon node")
    if config["boole_epoch"] is not None:
        parts.append(f"Boole from epoch {config['boole_epoch']}")
    if config["kill"]:
        parts.append(f"killed {', '.join(config['kill'])} (operators@epoch)")
    if config["stop_beacon"]:
        parts.append(f"beacon nodes stopped {', '.join(config['stop_beacon'])} (nodes@epoch)")
    if config["attack"]:
        parts.append(f"operator {report['attacked_operator']}'s beacon node lies ({config['attack']})")
    if config["exit"]:
        parts.append(f"exits {', '.join(config['exit'])} (validators@epoch)")
    return _text(f"{', '.join(parts)}; {report['seconds']:.0f} s in all")


def _cards(report: Mapping[str, Any]) -> str:
    duties, chain, latency = report["duties"], report["chain"], report["latency_ms"]
    attester, sync = duties["attester"], duties["sync_committee"]
    cards = {
        "attestation rate": f"{attester['rate']:.1%}",
        "effectiveness": f"{attester['effectiveness']:.3f}",
        "right head": f"{attester['correct_head']:.1%}",
        "slots with a block": f"{chain['blocks']}/{chain['slots']}",
        "sync signatures included": f"{sync['rate']:.1%}" if sync["assigned"] else "-",
        "commit delay p50": _ms(latency["commit_delay"], "p50"),
        "slashable": str(report["slashable"]),
        "finalized epoch": f"{chain['finalized_epoch']}",
    }
    shown = (
        f"<div class='card'><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in cards.items()
    )
    return f"<div class='cards'>{''.join(shown)}</div>"


def _duties(duties: Mapping[str, Mapping[str, Any]]) -> str:
    rows = (_duty_row(kind, duty) for kind, duty in duties.items() if duty["assigned"] or kind == "attester")
    note = "<p class='dim'>Aggregates and sync contributions begin with their slot and wait until two thirds of it.</p>"
    head = ("duty", "done as", "assigned", "done", "rate", "due → accepted p50", "p99", "later rounds")
    return table(head, rows, texts=(0, 1)) + note


def _duty_row(kind: str, duty: Mapping[str, Any]) -> tuple[str, ...]:
    word = "included" if "included" in duty else "delivered"
    rounds = duty.get("rounds")
    later = "-" if rounds is None else str(sum(count for number, count in rounds.items() if number != "1"))
    figures = (_ms(duty["delay_ms"], "p50"), _ms(duty["delay_ms"], "p99"))
    return (
        kind.replace("_", " "),
        word,
        f"{duty['assigned']:,}",
        f"{duty[word]:,}",
        f"{duty['rate']:.2%}",
        *figures,
        later,
    )


def _proposals(proposer: Mapping[str, Any], plotted: Plotted) -> list[str]:
    """The phases of block proposals, where there were any."""
    if not any(plotted.phases.values()):
        return []
    rows = (
        (name.replace("_", " "), PHASE_MEANINGS[name], *(_ms(figures, key) for key in ("p50", "p99", "max")))
        for name, figures in proposer["phases_ms"].items()
    )
    return [
        "<h2>Block proposals, phase by phase</h2>",
        table(("phase", "from → to", "p50", "p99", "max"), rows, texts=(0, 1)),
        _figure(
            "Share of proposals whose phase took at most…",
            plots.delay_distributions(_values(plotted.phases), wide=True),
        ),
    ]


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{_text(caption)}</figcaption>{svg}</figure>"


def _latency_table(latency: Mapping[str, Mapping[str, float] | None]) -> str:
    meaning = {
        "start_delay": "duty due → begun",
        "commit_delay": "consensus started → commit quorum",
        "signature": "decided → signature rebuilt",
        "duty": "duty due → accepted by the beacon node",
    }
    rows = (
        (name.replace("_", " "), meaning[name], *(_ms(figures, key) for key in ("p50", "p99", "max")), _count(figures))
        for name, figures in latency.items()
    )
    return table(("delay", "from → to", "p50", "p99", "max", "measured"), rows, texts=(0, 1))


def _ms(figures: Mapping[str, float] | None, key: str) -> str:
    return "-" if figures is None else f"{figures[key]:,.1f} ms"


def _count(figures: Mapping[str, float] | None) -> str:
    return "0" if figures is None else f"{figures['n']:,}"


def _epoch_row(epoch: Mapping[str, Any]) -> tuple[str, ...]:
    down = ", ".join(map(str, epoch["down"])) or "-"
    share = epoch["sync_participation"]
    return (
        str(epoch["epoch"]),
        f"{epoch['included']} of {epoch['assigned']}",
        f"{epoch['blocks']} of {epoch['proposals']}",
        "-" if share is None else f"{share:.1%}",
        epoch["expected"],
        down,
    )


def _operator_row(operator: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(operator["id"]),
        f"{operator['cpu_seconds']:.1f} s",
        f"{operator['rss_mb']:.0f} MB",
        str(operator["restarts"]),
        str(operator["deaths"]),
        str(operator["missed_start"]),
        str(operator["failed"]),
    )


def _check_row(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (check["name"], check["detail"], "holds" if check["ok"] else "FAILS")


def _reasons(duties: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (kind.replace("_", " "), reason.replace("_", " "), str(count))
        for kind, duty in duties.items()
        for reason, count in duty["reasons"].items()
    ]
    if not rows:
        return ""
    head = "<h2>Why duties did not complete, as the operators saw it</h2>"
    return head + table(("duty", "reason", "duties of operators"), rows, texts=(0, 1))


def _offences(offences: Sequence[str]) -> str:
    if not offences:
        return ""
    return "<h2>Slashable</h2><ul>" + "".join(f"<li>{_text(offence)}</li>" for offence in offences) + "</ul>"


def _text(value: str) -> str:
    return html.escape(value)
