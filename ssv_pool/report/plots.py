"""Plots as inline SVG. Colours differ in lightness too, so that they stay apart in grey."""

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

GOOD, BAD, LATE, DOWN = "#2a7f9e", "#c8553d", "#e09f3e", "#f3e7d3"
PALETTE = ("#2a7f9e", "#e09f3e", "#5f4b8b", "#5b8c5a", "#a23b72", "#3d3d3d")
WIDE, HALF = (9.6, 2.7), (4.7, 2.9)
MAX_SHAPES = 1500
"""More points than this are drawn as an image inside the plot: as shapes they would make a page of megabytes."""

IMAGE_DPI = 150

FLOOR_MS = 0.1
"""Shorter delays are drawn as this: a logarithmic axis has no zero."""

plt.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "ssv-pool",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": "#1d2b33",
        "axes.labelcolor": "#5d6d75",
        "axes.edgecolor": "#9aa8af",
        "xtick.color": "#5d6d75",
        "ytick.color": "#5d6d75",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e9edef",
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    }
)


def inclusion(
    slots: Sequence[int],
    included: Sequence[int],
    missed: Sequence[int],
    down: Sequence[tuple[int, int, str]],
    slots_per_epoch: int,
) -> str:
    """Attestations included and missed by slot of the duty.

    Args:
        slots: slots with duties.
        included: attestations of each slot that are in blocks.
        missed: those that are not.
        down: spans (first slot, slot after the last, label) in which operators were down.
        slots_per_epoch: where the marks on the axis are.
    """
    figure, axes = plt.subplots(figsize=WIDE, layout="constrained")
    axes.bar(slots, included, color=GOOD, width=0.8, label="included")
    if any(missed):
        style = {"color": BAD, "hatch": "////", "edgecolor": "white", "linewidth": 0}
        axes.bar(slots, missed, bottom=included, width=0.8, label="missed", **style)
    for start, end, label in down:
        axes.axvspan(start - 0.5, end - 0.5, color=DOWN, zorder=0, linewidth=0)
        place = {"xy": ((start + end - 1) / 2, 1), "xycoords": ("data", "axes fraction")}
        axes.annotate(label, **place, xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.set(ylabel="attestations")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    _slot_axis(axes, slots, slots_per_epoch)
    _legend(figure, axes)
    return _svg(figure)


def blocks_and_sync(
    blocks: Mapping[int, tuple[int, int]],
    sync: Mapping[int, tuple[int, int]],
    down: Sequence[tuple[int, int, str]],
    slots_per_epoch: int,
) -> str:
    """Sync committee signatures in blocks by slot of signing, and the slots whose proposers made no block.

    Args:
        blocks: slot → proposals made and missed.
        sync: slot → signatures included and missed.
        down: spans (first slot, slot after the last, label) in which operators were down.
        slots_per_epoch: where the marks on the axis are.
    """
    figure, axes = plt.subplots(figsize=WIDE, layout="constrained")
    slots = sorted(sync)
    included, missed = [sync[slot][0] for slot in slots], [sync[slot][1] for slot in slots]
    axes.bar(slots, included, color=PALETTE[2], width=0.8, label="sync signatures")
    if any(missed):
        style = {"color": BAD, "hatch": "////", "edgecolor": "white", "linewidth": 0}
        axes.bar(slots, missed, bottom=included, width=0.8, label="missing", **style)
    top = max([1, *(sum(counts) for counts in sync.values())])
    for label, colour, marker, place in (("block proposed", PALETTE[3], "s", 0), ("no block", BAD, "X", 1)):
        chosen = [slot for slot, counts in blocks.items() if counts[place]]
        if chosen:
            axes.scatter(chosen, [top * 1.09] * len(chosen), color=colour, marker=marker, s=26, label=label)
    for start, end, _label in down:
        axes.axvspan(start - 0.5, end - 0.5, color=DOWN, zorder=0, linewidth=0)
    axes.set(ylabel="signatures", ylim=(0, top * 1.18))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    _slot_axis(axes, sorted({*slots, *blocks}), slots_per_epoch)
    _legend(figure, axes)
    return _svg(figure)


def delays_by_slot(points: Mapping[str, Sequence[tuple[int, float]]], slots_per_epoch: int) -> str:
    """Every measured delay over the slot of its duty, one colour a kind; logarithmic scale."""
    figure, axes = plt.subplots(figsize=(WIDE[0], 3.3), layout="constrained")
    kinds = [(name, values) for name, values in points.items() if values]
    many = sum(len(values) for _, values in kinds) > MAX_SHAPES
    for place, (colour, marker, (name, values)) in enumerate(zip(PALETTE, "osD^vP", kinds, strict=False)):
        # Side by side within a slot, so that one kind does not hide another.
        shift = 0.18 * (place - (len(kinds) - 1) / 2)
        slots = [slot + shift for slot, _ in values]
        delays = [max(delay, FLOOR_MS) for _, delay in values]
        style = {"s": 7 if many else 13, "alpha": 0.5 if many else 0.7, "linewidths": 0, "rasterized": many}
        axes.scatter(slots, delays, color=colour, marker=marker, label=name, **style)
    axes.set(ylabel="milliseconds")
    _log(axes.set_yscale, axes.yaxis, marks=(1.0, 3.0))
    _slot_axis(axes, [slot for _, values in kinds for slot, _ in values], slots_per_epoch)
    _legend(figure, axes)
    return _svg(figure)


def timeline(steps: Sequence[tuple[str, str, int]], slots_per_epoch: int) -> str:
    """Steps one below the other, each a bar from the step before to its own slot; one colour for each actor.

    Args:
        steps: what, by whom, in which slot; in order.
        slots_per_epoch: where the marks on the axis are.
    """
    figure, axes = plt.subplots(figsize=(WIDE[0], 0.9 + 0.27 * len(steps)), layout="constrained")
    actors = list(dict.fromkeys(actor for _, actor, _ in steps))
    colours = dict(zip(actors, PALETTE, strict=False))
    begun, labelled = 0, set[str]()
    for place, (_, actor, slot) in enumerate(steps):
        colour = colours.get(actor, PALETTE[-1])
        label = None if actor in labelled else actor
        labelled.add(actor)
        axes.barh(place, max(slot - begun, 0), left=begun, height=0.55, color=colour, alpha=0.45, linewidth=0)
        axes.scatter([slot], [place], color=colour, s=26, zorder=3, label=label)
        axes.annotate(f"{slot}", (slot, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5)
        begun = max(begun, slot)
    axes.set_yticks(range(len(steps)), [what for what, _, _ in steps])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    last = max((slot for _, _, slot in steps), default=0)
    axes.set_xlim(left=0, right=last + slots_per_epoch)
    axes.xaxis.set_major_locator(MultipleLocator(slots_per_epoch * max(1, last // slots_per_epoch // 12)))
    axes.set_xlabel(f"slot ({slots_per_epoch} slots are one epoch)")
    _legend(figure, axes)
    return _svg(figure)


def delay_distributions(values: Mapping[str, Sequence[float]], *, wide: bool = False) -> str:
    """Cumulative distribution of each delay."""
    figure, axes = plt.subplots(figsize=WIDE if wide else HALF, layout="constrained")
    for colour, style, (name, delays) in zip(
        PALETTE, ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))), values.items(), strict=False
    ):
        if delays:
            ordered = sorted(max(delay, FLOOR_MS) for delay in delays)
            shares = [(index + 1) / len(ordered) for index in range(len(ordered))]
            axes.step(ordered, shares, where="post", color=colour, linestyle=style, linewidth=1.6, label=name)
    axes.set(xlabel="milliseconds", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    _log(axes.set_xscale, axes.xaxis)
    _legend(figure, axes, columns=6 if wide else 2)
    return _svg(figure)


def rounds(counts: Mapping[int, int]) -> str:
    """Duties by the round they were decided in."""
    figure, axes = plt.subplots(figsize=HALF, layout="constrained")
    numbers = range(1, max([4, *counts]) + 1)
    heights = [counts.get(number, 0) for number in numbers]
    bars = axes.bar(list(numbers), heights, width=0.6, color=[GOOD if number == 1 else LATE for number in numbers])
    axes.bar_label(bars, labels=[str(height) if height else "" for height in heights], fontsize=8.5, padding=2)
    axes.set(xlabel="round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.12)
    return _svg(figure)


def _legend(figure: Figure, axes: Axes, columns: int = 6) -> None:
    """The legend in a line of its own above the plot, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        style = {"handletextpad": 0.5, "columnspacing": 1.6, "borderaxespad": 0, "markerscale": 1.5}
        figure.legend(loc="outside upper left", ncols=columns, **style)


_MOST_MARKS = 10
"""More of "slot 128, epoch 16" run into each other on a page's width."""


def _slot_axis(axes: Axes, slots: Sequence[int], slots_per_epoch: int) -> None:
    """A mark at the first slot of each epoch, with the epoch's number under the slot's."""
    axes.grid(visible=False, axis="x")
    if not slots:
        axes.set_xticks([])
        return
    first, last = min(slots) // slots_per_epoch, max(slots) // slots_per_epoch
    step = -(-(last - first + 1) // _MOST_MARKS)
    starts = [epoch * slots_per_epoch for epoch in range(first, last + 2)]
    axes.set_xlim(starts[0] - 0.8, starts[-1] - 0.2)
    for start in starts[:-1]:
        axes.axvline(start - 0.5, color="#d5dde1", linewidth=0.8, zorder=0.5)
    shown = starts[:-1:step]
    axes.set_xticks(shown, [f"slot {start}\nepoch {start // slots_per_epoch}" for start in shown])


def _log(set_scale: Callable[[str], None], axis: Axis, marks: tuple[float, ...] = (1.0,)) -> None:
    """A logarithmic scale with plain numbers: ``marks`` times the powers of ten."""
    set_scale("log")
    axis.set_major_locator(LogLocator(base=10, subs=marks, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=IMAGE_DPI, metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
