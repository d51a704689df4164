"""The results as pictures: coverage curves, u against the truth, error ratios, and u over training."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bogc.training.pictures import COLOURS
from bogc.training.statistics import mean_interval
from paper_repro.gradient_uncertainty.findings import networks
from paper_repro.gradient_uncertainty.judging import LEVELS
from paper_repro.results import Results

TRAINED: Final = {"sum": "plain sum, SGD", "bogc": "bogc, AdamW"}
CURVES: Final = {"default": "default", "filtered": "filtered posterior", "former": "former default"}


def reliability(results: Results) -> Figure:
    """Share within central intervals by their level: a panel a posterior, a line a setting, both trainers."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    axes = figure.subplots(1, len(CURVES), sharex=True, sharey=True)
    for axis, (name, title) in zip(axes, CURVES.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for index, (setting, every) in enumerate(networks(results).items()):
            runs = [values for values in every if f"coverage 0.9 | {name}" in values]
            means = [[values[f"coverage {level} | {name}"] for values in runs] for level in LEVELS if runs]
            style = {"color": COLOURS[index % 5], "linestyle": "-" if index < 5 else "--", "label": setting}
            axis.plot(LEVELS[: len(means)], [*map(fmean, means)], "o", markersize=2.5, linewidth=1.1, **style)
        axis.set(xlim=(0, 1), ylim=(0, 1))
        axis.set_title(title, fontsize=9)
    figure.supxlabel("level of the central interval", fontsize=9)
    figure.supylabel("share of the truth within", fontsize=9)
    _legend(figure, axes[0])
    return figure


def uncertainty(results: Results) -> Figure:
    """Mean u of every loss in every layer against the true one, both averaged over the moments."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots(1, len(TRAINED), sharex=True, sharey=True)
    for axis, (trainer, title) in zip(axes, TRAINED.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for index, (setting, values) in enumerate([*networks(results, trainer).items()][:5]):
            points = {k: v for each in values for k, v in each.items() if k.startswith("true u | ")}
            own = [each[k.removeprefix("true ")] for k in points for each in values if k in each]
            style = {"color": COLOURS[index], "markersize": 3.5, "alpha": 0.7, "label": setting}
            axis.plot(points.values(), own, "o", **style)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.set_title(title, fontsize=9)
    figure.supxlabel("true u", fontsize=9)
    figure.supylabel("u", fontsize=9)
    _legend(figure, axes[0])
    return figure


def error(results: Results) -> Figure:
    """Squared error over the plain sum's, by setting: the default update, the filtered posterior's mean."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axis, found = figure.subplots(), networks(results)
    keys = {"default update": "update, geometric | default", "filtered mean": "means, geometric | filtered"}
    axis.axvline(1, color="0.6", linewidth=0.8)
    axis.axvline(1.03, color="0.6", linewidth=0.8, linestyle=":")
    for colour, (label, key) in zip(COLOURS, keys.items(), strict=False):
        for place, runs in enumerate(found.values()):
            each = [values[f"error, {key}"] for values in runs]
            axis.plot(each, [place + 0.2] * len(each), ".", color=colour, markersize=4, alpha=0.5)
            mean, half = mean_interval(each).mean, mean_interval(each).half
            axis.errorbar(mean, place, xerr=half, fmt="o", color=colour, markersize=4)
        axis.plot([], [], "o", color=colour, markersize=4, label=label)
    axis.set_yticks(range(len(found)), list(found))
    axis.invert_yaxis()
    axis.set_xlabel("squared error over the plain sum's, at its length (dotted: the goal, 1.03)", fontsize=9)
    _legend(figure, axis)
    return figure


def over_training(seen: Mapping[str, Any], steps: int, panels: int = 12) -> Figure:
    """u of every loss, layer by layer, at every step; the known truth as dots.

    Args:
        seen: Layer to loss to ``first`` step, its ``path`` and its ``truth`` by step; see ``headline``.
        steps: Of the run.
        panels: Layers shown at most, from the first.
    """
    shown = dict(list(seen.items())[:panels])
    rows = -(-len(shown) // 4)
    figure = Figure(figsize=(10.2, 1.75 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False)
    sources = list(dict.fromkeys(source for losses in seen.values() for source in losses))
    for axis, (layer, losses) in zip(axes.flat, shown.items(), strict=False):
        for source, found in losses.items():
            colour = COLOURS[sources.index(source)]
            x = range(found["first"], found["first"] + len(found["path"]))
            axis.plot(x, found["path"], color=colour, linewidth=1.1)
            known = {int(step): u for step, u in found["truth"].items()}
            axis.plot(known.keys(), known.values(), "o", color=colour, markersize=3.5)
        axis.set(xlim=(0, steps), ylim=(-0.03, 1.03))
        axis.set_title(layer, fontsize=8)
    for axis in list(axes.flat)[len(shown) :]:
        axis.axis("off")
    figure.supxlabel("step (dots: true u, from the gradients of 80 other batches)", fontsize=9)
    figure.supylabel("uncertainty u, mean over the layer", fontsize=9)
    handles = [Line2D([], [], color=colour) for colour, _ in zip(COLOURS, sources, strict=False)]
    figure.legend(handles, sources, loc="outside upper center", ncols=len(sources), fontsize=8)
    return figure


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)


PICTURES: Final[dict[str, Callable[[Results], Figure]]] = {
    "reliability.png": reliability,
    "uncertainty.png": uncertainty,
    "error.png": error,
}
