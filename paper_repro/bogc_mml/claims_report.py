"""The claims in the report: a table a condition, a sentence on bogc in each, a picture."""

from typing import Final

import numpy as np
from matplotlib.figure import Figure

from bogc.training.pictures import COLOURS
from bogc.training.statistics import Interval, holm
from paper_repro.bogc_mml.cells import Cells, cells_of, difference, p_value
from paper_repro.bogc_mml.claims import CONDITIONS, METHODS, MISSING, key
from paper_repro.document import Block, Paragraph, Picture, Table
from paper_repro.results import Results

PICTURE: Final = "bogc_mml/claims/differences.png"
BOGC: Final = "bogc"
SHOWN: Final = (*CONDITIONS, MISSING)
LEVEL: Final = 0.05
PEERS: Final = tuple(method for method in METHODS if method != BOGC)
READING: Final = (
    "Test accuracy, in percent, mean over folds, of each method at the learning rate with the better "
    "validation accuracy. `bogc -` is how far bogc is above the method: paired over data sets and folds, in "
    "points with its 95 % interval, allowing for folds that share training data; p is corrected by Holm over "
    "the methods of a table. The abstract claims superiority; it states no number that is known to us, and "
    "its data sets are others."
)


def blocks(results: Results) -> list[Block]:
    """Tables, verdicts and the picture."""
    found: list[Block] = [Paragraph(READING)]
    for condition in SHOWN:
        cells = _cells(results, condition)
        if BOGC in cells:
            found += [Paragraph(f"{condition.capitalize()}: {verdict(cells)}"), table(cells)]
    return [*found, Picture(PICTURE, "How far bogc is above each method, in points, by condition")]


def table(cells: Cells) -> Table:
    """Accuracy by method and data set, and bogc's lead."""
    datasets = list(cells[BOGC])
    corrected = corrected_p(cells)
    rows = [
        (
            method,
            *(f"{100 * float(np.mean(found[dataset])):.1f}" for dataset in datasets),
            "" if method == BOGC else lead(cells, method).percent("+"),
            "" if method not in corrected else f"{corrected[method]:.3f}",
        )
        for method, found in cells.items()
    ]
    return Table(("method", *datasets, "bogc -", "p"), tuple(rows))


def lead(cells: Cells, method: str) -> Interval:
    """How far bogc is above ``method``."""
    return difference(cells, BOGC, method)


def corrected_p(cells: Cells) -> dict[str, float]:
    """Holm's p-values of bogc against each peer; empty where there is one cell only."""
    raw = {method: p_value(cells, BOGC, method) for method in cells if method != BOGC}
    known = {method: p for method, p in raw.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def verdict(cells: Cells) -> str:
    """Which peers bogc is shown to be above, and below; else that no difference is shown."""
    corrected = corrected_p(cells)
    certain = {method: lead(cells, method).mean for method, p in corrected.items() if p < LEVEL}
    above = [method for method, mean in certain.items() if mean > 0]
    below = [method for method, mean in certain.items() if mean < 0]
    if not certain:
        return "no difference between bogc and any other method is shown."
    parts = [
        f"bogc is {word} {', '.join(names)}" for word, names in (("above", above), ("below", below)) if names
    ]
    return f"{'; '.join(parts)}; no difference to the others is shown."


def picture(results: Results) -> Figure:
    """One panel a condition, one line a peer."""
    figure = Figure(figsize=(12, 2.8), layout="constrained")
    for axis, condition in zip(figure.subplots(1, len(SHOWN), sharey=True), SHOWN, strict=True):
        cells = _cells(results, condition)
        peers = [method for method in PEERS if BOGC in cells and method in cells]
        places = np.arange(len(peers))[::-1]
        intervals = [lead(cells, method) for method in peers]
        means, halves = _points(intervals)
        axis.errorbar(means, places, xerr=halves, fmt="o", markersize=4, color=COLOURS[0], elinewidth=1)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(places, peers, fontsize=8)
        axis.set_title(condition, fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
    figure.supxlabel("bogc less the method, points", fontsize=9)
    return figure


def _points(intervals: list[Interval]) -> tuple[list[float], list[float]]:
    return [100 * i.mean for i in intervals], [100 * (i.half or 0.0) for i in intervals]


def _cells(results: Results, condition: str) -> Cells:
    datasets = [task["dataset"] for task in results.config["design"]["tasks"]]

    def named(dataset: str, method: str) -> str:
        return key(dataset, condition, method)

    return cells_of(results, datasets, list(METHODS), named)
