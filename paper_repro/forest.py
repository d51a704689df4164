"""The forest plot: published and measured intervals, each relative to the published value."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bogc.training.pictures import COLOURS
from paper_repro.entries import Entry
from paper_repro.status import Kind

CAPTION: Final = "Published (grey) and measured (coloured) intervals, in percent of the published value"
_COLOUR: Final = {Kind.REPRODUCED: COLOURS[2], Kind.OFF: COLOURS[1], Kind.INCONCLUSIVE: COLOURS[4]}


@dataclass(frozen=True)
class Line:
    """One line of the plot, all but the texts in percent of the published value.

    Attributes:
        label: What was measured.
        published: Half-width of the published interval, which is centred at 0.
        ours: Our mean minus the published value.
        half: Half-width of our interval.
        exact: The theoretical value minus the published one; None without theory.
        kind: Status.
    """

    label: str
    published: float
    ours: float
    half: float
    exact: float | None
    kind: Kind


def lines(entries: Sequence[Entry]) -> dict[str, list[Line]]:
    """Lines by experiment; rows without our value or a difference, or published as 0, have no place."""
    found: dict[str, list[Line]] = {}
    for entry in entries:
        number, ours = entry.published.number, entry.measured
        if ours is None or not number or entry.status.difference is None:
            continue
        percent = 100 / abs(number)
        exact = None if entry.exact is None else (entry.exact - number) * percent
        half = (ours.interval.half or 0.0) * percent
        label = f"{entry.published.dataset.removeprefix('simulation, ')}: {entry.published.method}"
        found.setdefault(ours.experiment, []).append(
            Line(
                label,
                entry.published.half_width * percent,
                (ours.interval.mean - number) * percent,
                half,
                exact,
                entry.status.kind,
            )
        )
    return found


def forest(entries: Sequence[Entry]) -> Figure:
    """Draw one panel an experiment, with a scale of its own; an empty figure if nothing was measured."""
    groups = lines(entries)
    heights = [len(group) + 1.5 for group in groups.values()]
    figure = Figure(figsize=(9, 0.9 + 0.32 * sum(heights)), layout="constrained")
    if groups:
        axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)
        for axis, (name, group) in zip(axes[:, 0], groups.items(), strict=True):
            _panel(axis, name, group)
        axes[-1, 0].set_xlabel("difference to the published value, percent of it")
    return figure


def png(figure: Figure) -> bytes:
    """Render a figure."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _panel(axis: Axes, name: str, group: Sequence[Line]) -> None:
    axis.axvline(0, color="0.6", linewidth=0.8)
    for y, line in enumerate(group):
        axis.plot([-line.published, line.published], [y, y], color="0.8", linewidth=9, solid_capstyle="butt")
        axis.plot([0], [y], "|", color="0.35", markersize=9)
        axis.errorbar(
            line.ours, y, xerr=line.half, fmt="o", markersize=4, capsize=3, color=_COLOUR[line.kind]
        )
        if line.exact is not None:
            axis.plot([line.exact], [y], "d", color="black", markersize=4, fillstyle="none")
    axis.set_yticks(range(len(group)), [line.label for line in group], fontsize=8)
    axis.set_ylim(len(group) - 0.4, -0.6)
    axis.set_title(name, fontsize=10, loc="left")
    _legend(axis, {line.kind for line in group}, any(line.exact is not None for line in group))


def _legend(axis: Axes, kinds: set[Kind], exact: bool) -> None:
    axis.plot([], [], color="0.8", linewidth=9, label="published")
    for kind in sorted(kinds):
        axis.errorbar(
            [], [], xerr=[], fmt="o", markersize=4, capsize=3, color=_COLOUR[kind], label=f"ours, {kind}"
        )
    if exact:
        axis.plot([], [], "d", color="black", markersize=4, fillstyle="none", label="theory")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
