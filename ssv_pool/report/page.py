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
    rounds = {int(number): count for number, count in report["rounds"].items()}
    delays = {name: [value for _, value in points] for name, points in plotted.delays.items()}
    per_epoch = report["config"]["slots_per_epoch"]
    parts = [
        _headline(ok=report["ok"]),
        f"<p class='dim'>{_config(report)}</p>",
        _cards(report),
        _figure(
            "Attestations by slot of the duty",
            plots.inclusion(plotted.slots, plotted.included, plotted.missed, plotted.down, per_epoch),
        ),
        _figure("Delays by slot of the duty, all operators", plots.delays_by_slot(plotted.delays, per_epoch)),
        "<div class='row'>",
        _figure("Share of duties that took at most…", plots.delay_distributions(delays)),
        _figure("Duties by the round that decided", plots.rounds(rounds)),
        "</div>",
        "<h2>Latency</h2>",
        _latency_table(report["latency_ms"]),
        "<h2>Checks</h2>",
        _table(("check", "found", ""), map(_check_row, report["checks"]), texts=(0, 1)),
        "<div class='row'><section><h2>Epochs</h2>",
        _table(("epoch", "assigned", "included", "expected", "down"), map(_epoch_row, report["epochs"])),
        "</section><section><h2>Operators</h2>",
        _table(
            ("operator", "CPU", "memory", "restarts", "deaths", "missed starts"),
            map(_operator_row, report["operators"]),
        ),
        "</section></div>",
        _reasons(report["reasons"]),
        _offences(report["offences"]),
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


def _config(report: Mapping[str, Any]) -> str:
    config = report["config"]
    kills = f", killed {', '.join(config['kill'])} (operators@epoch)" if config["kill"] else ""
    return _text(
        f"{config['operators']} operators, {config['validators']} of the chain's {config['chain_validators']} "
        f"validators, {config['epochs']} epochs of {config['slots_per_epoch']} slots of {config['slot_seconds']} s"
        f"{kills}; {report['seconds']:.0f} s in all"
    )


def _cards(report: Mapping[str, Any]) -> str:
    attester, chain, latency = report["duties"]["attester"], report["chain"], report["latency_ms"]
    cards = {
        "attestation rate": f"{attester['rate']:.1%}",
        "of assigned included": f"{attester['included']}/{attester['assigned']}",
        "effectiveness": f"{attester['effectiveness']:.3f}",
        "right head": f"{attester['correct_head']:.1%}",
        "commit delay p50": _ms(latency["commit_delay"], "p50"),
        "slashable": str(report["slashable"]),
        "finalized epoch": f"{chain['finalized_epoch']}",
    }
    shown = (
        f"<div class='card'><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in cards.items()
    )
    return f"<div class='cards'>{''.join(shown)}</div>"


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
    return _table(("delay", "from → to", "p50", "p99", "max", "measured"), rows, texts=(0, 1))


def _ms(figures: Mapping[str, float] | None, key: str) -> str:
    return "-" if figures is None else f"{figures[key]:,.1f} ms"


def _count(figures: Mapping[str, float] | None) -> str:
    return "0" if figures is None else f"{figures['n']:,}"


def _epoch_row(epoch: Mapping[str, Any]) -> tuple[str, ...]:
    down = ", ".join(map(str, epoch["down"])) or "-"
    return str(epoch["epoch"]), str(epoch["assigned"]), str(epoch["included"]), epoch["expected"], down


def _operator_row(operator: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(operator["id"]),
        f"{operator['cpu_seconds']:.1f} s",
        f"{operator['rss_mb']:.0f} MB",
        str(operator["restarts"]),
        str(operator["deaths"]),
        str(operator["missed_start"]),
    )


def _check_row(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (check["name"], check["detail"], "holds" if check["ok"] else "FAILS")


def _reasons(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    rows = ((reason.replace("_", " "), str(count)) for reason, count in reasons.items())
    return "<h2>Why duties did not complete, as the operators saw it</h2>" + _table(("reason", "duties"), rows)


def _offences(offences: Sequence[str]) -> str:
    if not offences:
        return ""
    return "<h2>Slashable</h2><ul>" + "".join(f"<li>{_text(offence)}</li>" for offence in offences) + "</ul>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = (0,)) -> str:
    """A table; the columns ``texts`` hold words and stand on the left, the others figures."""

    def line(tag: str, cells: Sequence[str]) -> str:
        marks = {"holds": " class='ok'", "FAILS": " class='fails'"}
        return "".join(
            f"<{tag}{' class=words' if place in texts else marks.get(cell, '')}>{_text(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )

    lines = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', head)}</tr></thead><tbody>{lines}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(value)
