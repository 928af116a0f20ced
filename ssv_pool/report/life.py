"""The section of a report about the life of a pool's validator: steps, a picture of them, the books."""

import html
from collections.abc import Mapping
from typing import Any, Final

from ssv_pool.report import plots
from ssv_pool.report.table import table

WEI: Final = 10**18


def section(life: Mapping[str, Any], slots_per_epoch: int) -> str:
    """The HTML of ``report.json.lifecycle``."""
    steps = life["steps"]
    rows = [
        (
            step["meaning"],
            step["by"],
            str(step["slot"]),
            str(step["epoch"]),
            f"{step['seconds']:.0f}\N{NO-BREAK SPACE}s",
            step["detail"],
        )
        for step in steps
    ]
    parts = [
        "<h2>A validator's life</h2>",
        f"<p class='dim'>{_duties(life['validator'])} Times are when a step was seen on a chain.</p>",
    ]
    if steps:
        picture = plots.timeline([(step["meaning"], step["by"], step["slot"]) for step in steps], slots_per_epoch)
        parts.append(f"<figure><figcaption>Steps by slot, from the one before</figcaption>{picture}</figure>")
        parts.append(table(("step", "by", "slot", "epoch", "after", "found"), rows, texts=(0, 1, 5)))
    if life["missing"]:
        parts.append(f"<p class='fails'>Not seen: {html.escape(', '.join(life['missing']))}. ")
        parts.append(f"{html.escape(life['error'])}</p>")
    if life["books"] is not None:
        parts += ["<h2>The pool's books</h2>", _books(life["books"])]
    return "\n".join(parts)


def _duties(validator: Mapping[str, Any]) -> str:
    if validator["index"] is None:
        return "The pool has no validator."
    done, owed = validator["included"], validator["attestations"]
    return f"Validator {validator['index']} of the staking pool: {done} of {owed} attestations in blocks."


def _books(books: Mapping[str, Any]) -> str:
    fees, left = books["fees"], books["left"]
    shares = [(f"- fee shares of {name}", value) for name, value in fees.items() if name not in ("clusters", "all")]
    rows = [
        ("stakers' deposits", books["deposits"]),
        ("+ what the validators earned", books["rewards"]),
        ("- clusters: what operators' service was paid", fees["clusters"]),
        *shares,
        ("- shares that stakers still have", left["staker_shares"]),
        ("- rounding and what is not booked yet", left["dust"]),
        ("= paid to stakers", books["payouts"]),
    ]
    word = "balanced to the wei" if books["balanced"] else f"not balanced: {'; '.join(books['faults'])}"
    note = f"<p class='{'dim' if books['balanced'] else 'fails'}'>{html.escape(word)}</p>"
    return table(("", "ETH"), [(name, _eth(int(value))) for name, value in rows]) + note


def _eth(wei: int) -> str:
    whole, rest = divmod(abs(wei), WEI)
    return f"{'-' if wei < 0 else ''}{whole}.{rest:018d}"
