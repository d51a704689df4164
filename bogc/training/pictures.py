"""Pictures of one run, drawn from its records, and of a comparison, readable with some twenty methods."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bogc.training.statistics import Interval
from bogc.training.storage import read_records, write_atomically
from bogc.training.summary import JOINT, LEVEL, Row

FUSED: Final = "fused"
Records = Sequence[Mapping[str, Any]]
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw_run(folder: Path) -> list[Path]:
    """Draw all pictures of one run into ``folder``/pictures; those without data are left out."""
    records = read_records(folder / "records.jsonl")
    steps = [record for record in records if record["kind"] == "step" and record["blocks"]]
    epochs = [record for record in records if record["kind"] == "epoch"]
    drawn = [save_figure(folder, "learning_curves", learning_curves(epochs))]
    if steps:
        drawn.append(save_figure(folder, "uncertainty", over_time(steps, "uncertainty", "uncertainty u")))
        drawn.append(save_figure(folder, "weights", over_time(steps, "weight", "weight w")))
        drawn.append(save_figure(folder, "conflict", conflict_over_time(steps)))
        drawn.append(save_figure(folder, "histograms", histograms(epochs)))
    result = folder / "result.json"
    if result.exists():
        drawn.append(
            save_figure(folder, "probes", probes(json.loads(result.read_text(encoding="utf-8"))["test"]))
        )
    return drawn


def save_figure(folder: Path, name: str, figure: Figure) -> Path:
    """Write ``figure`` to ``folder``/pictures/``name``.png, atomically."""
    path = folder / "pictures" / f"{name}.png"
    FigureCanvasAgg(figure)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
    return path


def learning_curves(epochs: Records) -> Figure:
    """Loss of each source on the last batch, and validation accuracy and loss, by epoch."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = [record["epoch"] + 1 for record in epochs]
    for source, colour in _colours(list(epochs[-1]["losses"])).items():
        losses = [record["losses"][source] for record in epochs]
        left.plot(x, losses, color=colour, label=f"last batch, {source}")
    left.plot(x, [record["validation"]["nll"] for record in epochs], "k--", label="validation, fusion")
    left.set(xlabel="epoch", ylabel="cross-entropy (nats)", yscale="log")
    left.legend(fontsize=8)
    right.plot(x, [record["validation"]["accuracy"] for record in epochs], "k-", label="accuracy")
    right.plot(x, [record["validation"]["macro_f1"] for record in epochs], color=COLOURS[0], label="macro-F1")
    right.set(xlabel="epoch", ylabel="on validation")
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    right.legend(fontsize=8)
    return figure


def over_time(steps: Records, field: str, label: str) -> Figure:
    """One panel a layer with two or more sources, one line a source: mean over the layer's dimensions."""
    names = [name for name, block in steps[-1]["blocks"].items() if len(block[field]) > 1]
    figure, axes = _panels(names)
    colours = _colours(list(dict.fromkeys(s for name in names for s in steps[-1]["blocks"][name][field])))
    for axis, name in zip(axes, names, strict=False):
        for source, colour in colours.items():
            points = [(r["step"], r["blocks"][name][field].get(source)) for r in steps if name in r["blocks"]]
            shown = [(x, y) for x, y in points if y is not None]
            if shown:
                axis.plot(*zip(*shown, strict=True), color=colour, linewidth=0.9, label=source)
        axis.set_title(name, fontsize=8)
        axis.set_ylim(-0.03, 1.03)
    _finish_panels(figure, axes, label)
    return figure


def conflict_over_time(steps: Records) -> Figure:
    """Dempster's conflict C between the sources, a line a layer."""
    names = [name for name, block in steps[-1]["blocks"].items() if len(block["uncertainty"]) > 1]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for index, name in enumerate(names):
        points = [(r["step"], r["blocks"][name]["conflict"]) for r in steps if name in r["blocks"]]
        style = "-" if index < len(COLOURS) else "--"
        axis.plot(
            *zip(*points, strict=True), style, color=COLOURS[index % len(COLOURS)], linewidth=0.9, label=name
        )
    axis.set(xlabel="step", ylabel="conflict C, mean over the layer")
    if names:
        axis.legend(fontsize=7, ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def histograms(epochs: Records) -> Figure:
    """Share of dimensions by belief and by uncertainty, at the last batch of the last epoch."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axis, field in zip(figure.subplots(1, 2), ("belief", "uncertainty"), strict=True):
        counted = epochs[-1]["histograms"]
        colours = _colours([source for source in counted if source != FUSED]) | {FUSED: "#000000"}
        for source, counts in counted.items():
            share = np.asarray(counts[field]) / max(sum(counts[field]), 1)
            axis.stairs(share, np.linspace(0, 1, len(share) + 1), color=colours[source], label=source)
        axis.set(xlabel=f"{field} of a dimension", ylabel="share of dimensions")
        axis.legend(fontsize=8)
    return figure


def probes(test: Mapping[str, Any]) -> Figure:
    """Test accuracy of each modality: its own head, a linear probe, and the fused one without it."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axis = figure.subplots()
    modalities = list(test["probes"])
    bars = {"own head": test["unimodal"], "linear probe": test["probes"], "fused without it": test["without"]}
    for index, (label, values) in enumerate(bars.items()):
        heights = [values.get(modality, np.nan) for modality in modalities]
        axis.bar(
            np.arange(len(modalities)) + 0.25 * (index - 1), heights, 0.25, color=COLOURS[index], label=label
        )
    axis.axhline(test["fused"]["accuracy"], color="k", linestyle="--", label="fused")
    axis.set_xticks(np.arange(len(modalities)), modalities)
    axis.set(ylabel="test accuracy", ylim=(0, 1))
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _colours(sources: Sequence[str]) -> dict[str, str]:
    """One colour a source, the same in every picture: sources come in the order of the losses."""
    return {source: COLOURS[index % len(COLOURS)] for index, source in enumerate(sources)}


def _panels(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    columns = min(4, max(len(names), 1))
    rows = -(-max(len(names), 1) // columns)
    figure = Figure(figsize=(2.6 * columns, 1.9 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)


def _finish_panels(figure: Figure, axes: Sequence[Axes], label: str) -> None:
    figure.supxlabel("step", fontsize=9)
    figure.supylabel(f"{label}, mean over the layer", fontsize=9)
    lines: dict[str, Any] = {}
    for axis in axes:
        handles, names = axis.get_legend_handles_labels()
        lines |= dict(zip(names, handles, strict=True))
        axis.set_visible(bool(handles))
    figure.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=len(lines) or 1, fontsize=8)


MARKERS: Final = "os^Dv"
GREY: Final = "#888888"
BLUE: Final = COLOURS[0]
Runs = Mapping[str, Sequence[Path]]


def draw_comparison(root: Path, lines: Sequence[Row], runs: Runs) -> list[Path]:
    """Draw what a comparison has data for into ``root``/pictures.

    Args:
        root: Folder of the comparison.
        lines: One row a method.
        runs: Folders of the tested runs of each method.
    """
    tested = [line for line in lines if line.accuracy is not None]
    if not tested:
        return []
    drawn = [
        save_figure(root, "comparison_curves", validation_curves(runs)),
        save_figure(root, "comparison_accuracy", accuracies(tested, runs)),
        save_figure(root, "comparison_modalities", modalities(tested)),
        save_figure(root, "comparison_cost", cost(tested)),
    ]
    if any(line.joint is not None for line in tested):
        drawn.append(save_figure(root, "comparison_forest", forest(tested)))
    return drawn


def validation_curves(runs: Runs) -> Figure:
    """Validation accuracy by epoch, a panel a method: its runs, their median and that of joint."""
    curves = {method: [_validation(folder) for folder in folders] for method, folders in runs.items()}
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(1.2 + 2.3 * columns, 0.6 + 1.7 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axis, (method, found) in zip(axes, curves.items(), strict=False):
        for values in found:
            axis.plot(np.arange(1, len(values) + 1), values, color=BLUE, linewidth=0.5, alpha=0.35)
        if JOINT in curves and method != JOINT:
            _median(axis, curves[JOINT], GREY, "median of joint")
        _median(axis, found, "#000000", "median")
        axis.set_title(method, fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    labelled = {
        name: handle for axis in axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(labelled.values(), labelled.keys(), loc="outside upper right", ncols=2, fontsize=8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("validation accuracy", fontsize=9)
    return figure


def accuracies(lines: Sequence[Row], runs: Runs) -> Figure:
    """Test accuracy: a dot a run, and mean and 95 % interval over folds, in the order of the table."""
    figure, axis = _by_method(lines)
    for y, line in enumerate(lines):
        values = [_accuracy(folder) for folder in runs[line.method]]
        axis.plot(values, [y + 0.25] * len(values), ".", color=GREY, markersize=4, alpha=0.6)
        _interval(axis, y, line.accuracy, BLUE)
    what = _spread([line.accuracy for line in lines], "mean and 95 % interval over folds")
    axis.set_xlabel(f"test accuracy %: {what} (blue), runs (grey)")
    return figure


def forest(lines: Sequence[Row]) -> Figure:
    """Paired difference to joint training with its interval; in colour if it stands after correction."""
    compared = [line for line in lines if line.joint is not None]
    figure, axis = _by_method(compared)
    axis.axvline(0, color="k", linewidth=0.8)
    for y, line in enumerate(compared):
        if line.joint is not None:
            shown = line.joint.corrected is not None and line.joint.corrected < LEVEL
            _interval(axis, y, line.joint.interval, BLUE if shown else GREY)
    what = _spread(
        [None if line.joint is None else line.joint.interval for line in compared], "95 % interval"
    )
    axis.set_xlabel(
        f"difference to joint, points of test accuracy, {what}\n"
        "(blue: below 0.05 after Holm's correction; grey: no difference shown)",
        fontsize=8,
    )
    return figure


def modalities(lines: Sequence[Row]) -> Figure:
    """Linear probes of each encoder, and accuracy without each modality.

    Numbers are percent; colours show the difference to the median method, column by column.
    """
    names = list(lines[0].probes)
    kinds: dict[str, Callable[[Row], Mapping[str, Interval]]] = {
        "linear probe on": lambda line: line.probes,
        "fused without": lambda line: line.without,
    }
    size = (max(2.2 + 1.3 * len(names), 6), 1.8 + 0.26 * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    for axis, (title, values_of) in zip(figure.subplots(1, 2, sharey=True), kinds.items(), strict=True):
        missing = Interval(np.nan, None)
        table = np.array([[100 * values_of(line).get(n, missing).mean for n in names] for line in lines])
        _heat(axis, table)
        axis.set_xticks(np.arange(len(names)), names, rotation=45, ha="right", fontsize=8)
        axis.set_yticks(np.arange(len(lines)), [line.method for line in lines], fontsize=8)
        axis.set_title(title, fontsize=9)
    figure.suptitle("test accuracy %; blue: above the median method of the column, red: below", fontsize=9)
    return figure


def cost(lines: Sequence[Row]) -> Figure:
    """Mean test accuracy against the CPU time of a step, elapsed time on a GPU."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    for index, line in enumerate(lines):
        marker = MARKERS[index // len(COLOURS) % len(MARKERS)]
        if line.accuracy is not None and line.milliseconds is not None:
            axis.plot(
                [line.milliseconds],
                [100 * line.accuracy.mean],
                marker,
                color=COLOURS[index % len(COLOURS)],
                label=line.method,
            )
    axis.set(xlabel="ms a step (logarithmic)", ylabel="test accuracy %, mean over folds", xscale="log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _validation(folder: Path) -> list[float]:
    return [
        r["validation"]["accuracy"] for r in read_records(folder / "records.jsonl") if r["kind"] == "epoch"
    ]


def _accuracy(folder: Path) -> float:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return 100 * float(result["test"]["fused"]["accuracy"])


def _median(axis: Axes, curves: Sequence[Sequence[float]], colour: str, label: str) -> None:
    length = min(map(len, curves))  # early stopping may cut some short
    middle = np.median([values[:length] for values in curves], axis=0)
    axis.plot(np.arange(1, length + 1), middle, color=colour, linewidth=1.5, label=label)


def _by_method(lines: Sequence[Row]) -> tuple[Figure, Axes]:
    """One horizontal line a method, the first on top."""
    figure = Figure(figsize=(6.5, 1.1 + 0.28 * len(lines)), layout="constrained")
    axis = figure.subplots()
    axis.set_yticks(np.arange(len(lines)), [line.method for line in lines], fontsize=9)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.grid(axis="x", linewidth=0.4)
    return figure, axis


def _spread(found: Sequence[Interval | None], several: str) -> str:
    """What a picture's points show: no interval where there is one fold."""
    return several if any(i is not None and i.half is not None for i in found) else "one fold, no interval"


def _interval(axis: Axes, y: int, interval: Interval | None, colour: str) -> None:
    if interval is not None:
        half = None if interval.half is None else 100 * interval.half
        axis.errorbar(100 * interval.mean, y, xerr=half, fmt="o", color=colour, markersize=4, capsize=2)


def _heat(axis: Axes, table: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> None:
    apart = table - np.nanmedian(table, axis=0) if np.isfinite(table).any() else table
    scale = max(float(np.nanmax(np.abs(apart))), 1.0) if np.isfinite(apart).any() else 1.0
    axis.imshow(apart, cmap="RdBu", vmin=-scale, vmax=scale, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            dark = abs(apart[row, column]) > 0.7 * scale
            axis.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color="w" if dark else "k"
            )
