"""The ablation in the report: tables and a picture."""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bogc.training.pictures import COLOURS
from bogc.training.statistics import Interval
from paper_repro.bogc_mml.ablation import INVERSE_VARIANCE, SUM, key
from paper_repro.bogc_mml.cells import Cells, cells_of, difference, flat, main_effect, mean_of_datasets
from paper_repro.bogc_mml.variants import BASE_NAME, FACTORS, combinations, name_of
from paper_repro.document import Block, Paragraph, Picture, Table
from paper_repro.results import Results

PICTURE: Final = "bogc_mml/ablation/choices.png"
EXTREMES: Final = 5
READING: Final = (
    "Validation accuracy, in percent, of the best epoch at the better of the learning rates, mean over "
    "folds; differences are paired over data sets and folds, in points with their 95 % interval, allowing "
    "for folds that share training data and not corrected for the number of comparisons. Test "
    "data were not looked at."
)


def blocks(results: Results) -> list[Block]:
    """One choice at a time, then the main effects and the ends of the full design."""
    single = _cells(results, "single", [*results.config["variants"], SUM, INVERSE_VARIANCE])
    full = _cells(results, "factorial", [*map(name_of, combinations()), SUM])
    found: list[Block] = [Paragraph(READING)]
    if BASE_NAME in single:
        found += [Paragraph("One choice changed at a time:"), one_at_a_time(single)]
    if complete(full):
        found += [Paragraph("Main effects over all combinations of four choices:"), main_effects(full)]
        found += [Paragraph("Combinations from the best to the worst:"), extremes(full)]
    return [
        *found,
        Picture(PICTURE, "What each choice adds to the base, and each level to its factor's mean"),
    ]


def one_at_a_time(cells: Cells) -> Table:
    """Every variant of the base by data set, against the base and the plain sum."""
    datasets = list(cells[BASE_NAME])
    rows = [
        (
            variant,
            *(f"{100 * float(np.mean(found[dataset])):.1f}" for dataset in datasets),
            "" if variant == BASE_NAME else difference(cells, variant, BASE_NAME).percent("+"),
            "" if variant == SUM else difference(cells, variant, SUM).percent("+"),
        )
        for variant, found in cells.items()
    ]
    return Table(("choice", *datasets, f"- {BASE_NAME}", f"- {SUM}"), tuple(rows))


def complete(cells: Cells) -> bool:
    """Whether every combination has been run on the same cells."""
    names = [*map(name_of, combinations()), SUM]
    return len({len(flat(cells[n])) if n in cells else 0 for n in names}) == 1 and SUM in cells


def main_effects(cells: Cells) -> Table:
    """Each level's mean difference to the mean of its factor."""
    table = full_table(cells)
    rows = [
        (factor, level, main_effect(table, axis, index).percent("+"))
        for axis, (factor, levels) in enumerate(FACTORS.items())
        for index, level in enumerate(levels)
    ]
    return Table(("factor", "level", "- mean of the factor"), tuple(rows))


def full_table(cells: Cells) -> NDArray[np.float64]:
    """Accuracies less the plain sum's: one axis a factor, the last axis the cells."""
    plain = np.array(flat(cells[SUM]))
    values: NDArray[np.float64] = np.array([flat(cells[name_of(levels)]) for levels in combinations()])
    shape = (*(len(levels) for levels in FACTORS.values()), len(plain))
    differences: NDArray[np.float64] = (values - plain).reshape(shape)
    return differences


def extremes(cells: Cells) -> Table:
    """The best and the worst combinations by their mean over data sets."""
    names = [name_of(levels) for levels in combinations()]
    ranked = sorted(names, key=lambda name: -mean_of_datasets(cells[name]))
    shown = [*ranked[:EXTREMES], *ranked[-EXTREMES:]]
    rows = [
        (
            str(ranked.index(n) + 1),
            n,
            f"{100 * mean_of_datasets(cells[n]):.1f}",
            difference(cells, n, SUM).percent("+"),
        )
        for n in shown
    ]
    return Table(("rank", " / ".join(FACTORS), "accuracy %", f"- {SUM}"), tuple(rows))


def picture(results: Results) -> Figure:
    """Differences to the base on the left, main effects on the right, with their intervals."""
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    single = _cells(results, "single", [*results.config["variants"], SUM, INVERSE_VARIANCE])
    named = [name for name in single if name != BASE_NAME] if BASE_NAME in single else []
    _forest(left, named, [difference(single, name, BASE_NAME) for name in named], COLOURS[0])
    left.set_title("one choice changed: points - base", fontsize=9)
    full = _cells(results, "factorial", [*map(name_of, combinations()), SUM])
    labels: list[str] = []
    effects: list[Interval] = []
    if complete(full):
        table = full_table(full)
        for axis, (factor, levels) in enumerate(FACTORS.items()):
            labels += [f"{factor}: {level}" for level in levels]
            effects += [main_effect(table, axis, index) for index in range(len(levels))]
    _forest(right, labels, effects, COLOURS[1])
    right.set_title("all combinations: points - factor mean", fontsize=9)
    return figure


def _forest(axis: Axes, labels: list[str], intervals: list[Interval], colour: Any) -> None:
    places = np.arange(len(labels))[::-1]
    means = [100 * interval.mean for interval in intervals]
    halves = [100 * (interval.half or 0.0) for interval in intervals]
    axis.errorbar(means, places, xerr=halves, fmt="o", markersize=4, color=colour, elinewidth=1)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(places, labels, fontsize=8)
    axis.tick_params(axis="x", labelsize=8)


def _cells(results: Results, design: str, variants: list[str]) -> Cells:
    """The cells of one of the two designs; the plain sum belongs to both, so runs are told by their names."""
    kept = {name: run for name, run in results.runs.items() if name.startswith(f"{design}, ")}
    datasets = [task["dataset"] for task in (results.config[design] or {"tasks": []})["tasks"]]
    if design == "factorial":
        kept = _merged(kept)
    return cells_of(
        Results(results.experiment, results.config, results.config_hash, kept), datasets, variants, key
    )


def _merged(runs: dict[str, Any]) -> dict[str, Any]:
    """Runs of one data set and fold as one: each holds other combinations, and the same plain sum."""
    found: dict[str, Any] = {}
    for name, run in runs.items():
        cell = ", ".join(name.split(", ")[:3])
        values = {**found[cell].values, **run.values} if cell in found else run.values
        found[cell] = type(run)(values, run.seconds, run.date, run.hardware, run.versions)
    return found
