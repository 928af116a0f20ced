"""The HTML report of a devnet run: one file, no scripts, nothing fetched from elsewhere."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ssv_pool.report import plots


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
    """Latency → (slot, milliseconds) of each duty of each operator."""


STYLE = resources.files("ssv_pool.report").joinpath("page.css").read_text(encoding="utf-8")


def render(report: Mapping[str, Any], plotted: Plotted) -> str:
    """The page for a report (the content of ``report.json``)."""
    attester = report["duties"]["attester"]
    cards = {
        "attestation rate": f"{attester['rate']:.1%}",
        "included / assigned": f"{attester['included']} / {attester['assigned']}",
        "effectiveness": f"{attester['effectiveness']:.3f}",
        "right head": f"{attester['correct_head']:.1%}",
        "slashable": str(report["slashable"]),
        "finalized epoch": str(report["chain"]["finalized_epoch"]),
    }
    rounds = {int(number): count for number, count in report["rounds"].items()}
    delays = {name: [value for _, value in points] for name, points in plotted.delays.items()}
    parts = [
        _headline(ok=report["ok"]),
        f"<p class='dim'>{_config(report['config'])}</p>",
        "<div class='cards'>"
        + "".join(f"<div class='card'><b>{_text(value)}</b>{_text(name)}</div>" for name, value in cards.items())
        + "</div>",
        plots.inclusion(plotted.slots, plotted.included, plotted.missed, plotted.down),
        plots.delays_by_slot(plotted.delays),
        f"<div class='row'>{plots.delay_distributions(delays)}{plots.rounds(rounds) if rounds else ''}</div>",
        "<h2>Latency</h2>",
        _latency_table(report["latency_ms"]),
        "<h2>Operators</h2>",
        _table(("operator", "CPU", "memory", "restarts", "missed starts"), map(_operator_row, report["operators"])),
        "<h2>Checks</h2>",
        _table(("check", "holds", "found"), map(_check_row, report["checks"]), wide=2),
        _reasons(report["reasons"]),
    ]
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        f"content='width=device-width'><title>Devnet run</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _headline(*, ok: bool) -> str:
    kind, word = ("good", "good") if ok else ("bad", "not good")
    return f"<h1>Devnet run <span class='verdict {kind}'>{word}</span></h1>"


def _config(config: Mapping[str, Any]) -> str:
    kills = ", ".join(config["kill"]) or "none"
    return _text(
        f"{config['operators']} operators, {config['validators']} of {config['chain_validators']} validators, "
        f"{config['epochs']} epochs of {config['slots_per_epoch']} slots of {config['slot_seconds']} s, kills: {kills}"
    )


def _latency_table(latency: Mapping[str, Mapping[str, float] | None]) -> str:
    meaning = {
        "start_delay": "duty due → begun",
        "commit_delay": "consensus started → commit quorum",
        "signature": "decided → signature rebuilt",
        "duty": "duty due → accepted by the beacon node",
    }
    rows = (
        (name.replace("_", " "), meaning[name], *(f"{figures[key]:.1f} ms" for key in ("p50", "p99", "max")))
        if figures
        else (name.replace("_", " "), meaning[name], "none", "none", "none")
        for name, figures in latency.items()
    )
    return _table(("", "from → to", "p50", "p99", "max"), rows, wide=1)


def _operator_row(operator: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(operator["id"]),
        f"{operator['cpu_seconds']:.1f} s",
        f"{operator['rss_mb']:.0f} MB",
        str(operator["restarts"]),
        str(operator["missed_start"]),
    )


def _check_row(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (check["name"], "yes" if check["ok"] else "NO", check["detail"])


def _reasons(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    rows = ((reason.replace("_", " "), str(count)) for reason, count in reasons.items())
    return "<h2>Why duties did not complete, as the operators saw it</h2>" + _table(("reason", "duties"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], wide: int = -1) -> str:
    cells = "".join(f"<th>{_text(name)}</th>" for name in head)
    lines = "".join(
        "<tr>"
        + "".join(f"<td{' class=wide' if place == wide else ''}>{_text(value)}</td>" for place, value in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(value)
