"""Plots as inline SVG. Colours differ in lightness too, so that they stay apart in grey."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

GOOD, BAD, MUTED = "#2a7f9e", "#c8553d", "#b8c4ca"
PALETTE = ("#2a7f9e", "#e09f3e", "#5f4b8b", "#7a9e7e")

plt.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "ssv-pool",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e8ea",
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "legend.frameon": False,
    }
)


def inclusion(
    slots: Sequence[int], included: Sequence[int], missed: Sequence[int], down: Sequence[tuple[int, int, str]]
) -> str:
    """Attestations included and missed by slot of the duty.

    Args:
        slots: slots with duties.
        included: attestations of each slot that are in blocks.
        missed: those that are not.
        down: spans (first slot, slot after the last, label) in which operators were down.
    """
    figure, axes = plt.subplots(figsize=(9, 2.4), layout="constrained")
    for start, end, label in down:
        axes.axvspan(start - 0.5, end - 0.5, color="#f3e7d3", zorder=0)
        axes.text((start + end - 1) / 2, axes.get_ylim()[1], label, ha="center", va="bottom", fontsize=8)
    axes.bar(slots, included, color=GOOD, width=0.8, label="included")
    axes.bar(slots, missed, bottom=included, color=BAD, width=0.8, label="missed", hatch="///", edgecolor="white")
    axes.set(xlabel="slot of the duty", ylabel="attestations")
    axes.set_title("Inclusion by slot", pad=16)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper left", bbox_to_anchor=(0.78, 1.22), ncols=2)
    return _svg(figure)


def delays_by_slot(points: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Every measured delay over the slot of its duty, one colour a kind; logarithmic scale."""
    figure, axes = plt.subplots(figsize=(9, 3.0), layout="constrained")
    for colour, marker, (name, values) in zip(PALETTE, "osD^", points.items(), strict=False):
        if values:
            slots, delays = zip(*values, strict=True)
            positive = [max(delay, 0.1) for delay in delays]
            axes.scatter(slots, positive, s=9, color=colour, marker=marker, label=name, alpha=0.75, linewidths=0)
    axes.set_yscale("log")
    axes.set(xlabel="slot of the duty", ylabel="milliseconds (log)")
    axes.set_title("Delays by slot, all operators")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _svg(figure)


def delay_distributions(values: Mapping[str, Sequence[float]]) -> str:
    """Cumulative distribution of each delay."""
    figure, axes = plt.subplots(figsize=(4.4, 2.8), layout="constrained")
    for colour, style, (name, delays) in zip(PALETTE, ("-", "--", "-.", ":"), values.items(), strict=False):
        if delays:
            ordered = sorted(max(delay, 0.1) for delay in delays)
            shares = [(index + 1) / len(ordered) for index in range(len(ordered))]
            axes.step(ordered, shares, where="post", color=colour, linestyle=style, label=name)
    axes.set_xscale("log")
    axes.set(xlabel="milliseconds (log)", ylabel="share of duties", ylim=(0, 1.02))
    axes.set_title("How long each part takes")
    axes.legend(loc="upper left", fontsize=8)
    return _svg(figure)


def rounds(counts: Mapping[int, int]) -> str:
    """Duties by the round they were decided in."""
    figure, axes = plt.subplots(figsize=(4.4, 2.8), layout="constrained")
    names = [str(number) for number in counts]
    bars = axes.bar(names, list(counts.values()), color=[GOOD if number == 1 else "#e09f3e" for number in counts])
    axes.bar_label(bars, fontsize=8)
    axes.set(xlabel="round", ylabel="duties")
    axes.set_title("Decided round")
    axes.margins(y=0.15)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
