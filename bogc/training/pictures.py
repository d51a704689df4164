"""Pictures of one run, drawn from its records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bogc.training.files import write_atomically
from bogc.training.records import read

FUSED: Final = "fused"
Records = Sequence[Mapping[str, Any]]
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw_run(folder: Path) -> list[Path]:
    """Draw all pictures of one run into ``folder``/pictures; those without data are left out."""
    records = read(folder / "records.jsonl")
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
