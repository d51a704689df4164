"""The results as pictures: reliability diagram, u against error, noise ratio."""

from collections.abc import Callable
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bogc.training.pictures import COLOURS
from bogc.training.statistics import mean_interval
from paper_repro.gradient_uncertainty.findings import ALL_ESTIMATORS, ALL_PRIORS, values
from paper_repro.gradient_uncertainty.judging import coverage
from paper_repro.gradient_uncertainty.measures import LEVELS
from paper_repro.gradient_uncertainty.table import ESTIMATORS
from paper_repro.results import Results

_PRIOR_COLOURS: Final = dict(zip(ALL_PRIORS, COLOURS, strict=True))


def reliability(results: Results) -> Figure:
    """Share within central intervals by their level: a panel an estimator, a line a prior, Normal route."""
    figure = Figure(figsize=(9, 5.8), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    for axis, estimator in zip(axes.flat, ALL_ESTIMATORS, strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for prior, colour in _PRIOR_COLOURS.items():
            keys = [f"{coverage(level)} | {estimator} | {prior} | normal" for level in LEVELS]
            _band(axis, results, LEVELS, keys, colour, prior)
        axis.set_title(estimator, fontsize=9)
        axis.set(xlim=(0, 1), ylim=(0, 1))
    figure.supxlabel("level of the central interval", fontsize=9)
    figure.supylabel("share of the truth within", fontsize=9)
    _legend(figure, axes.flat[0])
    return figure


def error(results: Results) -> Figure:
    """Rank correlation of u with errors, by estimator and prior: of the posterior mean, of the batch mean."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    titles = {"u ~ error": "error of the posterior mean", "u ~ batch error": "error of the batch gradient"}
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (measure, title) in zip(axes, titles.items(), strict=True):
        for shift, (prior, colour) in enumerate(_PRIOR_COLOURS.items()):
            for y, estimator in enumerate(ALL_ESTIMATORS):
                found = values(results, f"{measure} | {estimator} | {prior} | normal")
                if found:
                    interval = mean_interval(found)
                    place = y + 0.11 * (shift - len(ALL_PRIORS) / 2)
                    axis.errorbar(
                        interval.mean,
                        place,
                        xerr=interval.half,
                        fmt="o",
                        color=colour,
                        markersize=3.5,
                        linewidth=1,
                    )
            axis.plot([], [], "o", color=colour, markersize=3.5, label=prior)
        axis.axvline(0, color="0.6", linewidth=0.8)
        axis.set_yticks(range(len(ALL_ESTIMATORS)), list(ALL_ESTIMATORS))
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("rank correlation with u", fontsize=9)
    axes[0].invert_yaxis()
    _legend(figure, axes[0])
    return figure


def noise(results: Results) -> Figure:
    """Estimated over true noise variance: median and middle 80 %, by moment of training; sparse apart."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    stops = results.config["stops"]
    columns = {f"at {stop:.0%} of training": ("noise ratio", f" | at {stop}") for stop in stops}
    columns["sparse dimensions"] = ("noise ratio, sparse", "")
    axes = figure.subplots(1, len(columns), sharey=True)
    for axis, (title, (name, suffix)) in zip(axes, columns.items(), strict=True):
        for y, (estimator, colour) in enumerate(zip(ESTIMATORS, COLOURS, strict=False)):
            parts = [values(results, f"{name}, {p} | {estimator}{suffix}") for p in ("low", "median", "high")]
            if all(parts):
                low, median, high = (float(np.exp(np.mean(np.log(np.maximum(p, 1e-6))))) for p in parts)
                axis.plot([low, high], [y, y], color=colour, linewidth=1.5)
                axis.plot([median], [y], "o", color=colour, markersize=5)
        axis.axvline(1, color="0.6", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_title(title, fontsize=9)
    axes[0].set_yticks(range(len(ESTIMATORS)), list(ESTIMATORS))
    axes[0].invert_yaxis()
    figure.supxlabel("estimated / true variance of a batch gradient", fontsize=9)
    return figure


PICTURES: Final[dict[str, Callable[[Results], Figure]]] = {
    "reliability.png": reliability,
    "error.png": error,
    "noise.png": noise,
}


def _band(
    axis: Axes, results: Results, x: tuple[float, ...], keys: list[str], colour: str, label: str
) -> None:
    found = [values(results, key) for key in keys]
    if not all(found):
        axis.plot([], [], color=colour, label=label)
        return
    intervals = [mean_interval(v) for v in found]
    mean = np.array([i.mean for i in intervals])
    half = np.array([i.half or 0.0 for i in intervals])
    axis.plot(x, mean, "o-", markersize=2.5, linewidth=1.2, color=colour, label=label)
    axis.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)
