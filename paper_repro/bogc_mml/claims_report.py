"""The comparison in the report: verdicts, one table a condition and optimiser, a picture."""

from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from bogc.training.pictures import COLOURS
from bogc.training.statistics import paired_difference
from paper_repro.bogc_mml.cells import OVERLAP
from paper_repro.bogc_mml.claims import CLEAN, CONDITIONS, OPTIMISERS, key
from paper_repro.bogc_mml.config import FOLDS
from paper_repro.bogc_mml.contestants import CONTESTANTS, CONTROLS, OURS, REFERENCE
from paper_repro.bogc_mml.hierarchical import REGION, Verdict, posterior
from paper_repro.document import Block, Paragraph, Picture, Table
from paper_repro.results import Results

PICTURE: Final = "bogc_mml/claims/differences.png"
SURE: Final = 0.95
MISSING: Final = "one modality missing"
AVERAGE: Final = "average"
READING: Final = (
    "Test accuracy, in percent: mean over data sets of the mean over folds. Beside it the difference to the "
    "plain sum in points, posterior mean over data sets with its central 95 % interval, and the probability "
    f"that it is below, within and above ± {100 * REGION:g} point, from the hierarchical model that "
    "PROTOCOL.md fixes. The abstract claims superiority; it states no number that is known to us, and its "
    "data sets are others."
)

Panel = tuple[str, str]
"""Condition and optimiser."""
AVERAGE_PANEL: Final[Panel] = (AVERAGE, "both")
PANELS: Final[tuple[Panel, ...]] = (
    *((condition, optimiser) for condition in (*CONDITIONS, MISSING) for optimiser in OPTIMISERS),
    AVERAGE_PANEL,
)
Scores = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Contestant to data set to accuracy by fold."""


class Pair(NamedTuple):
    """A contestant, and whom it is compared with."""

    contestant: str
    reference: str


def blocks(results: Results) -> list[Block]:
    """How far the runs have come, verdicts, tables, and the picture."""
    found: list[Block] = [Paragraph(READING)]
    for panel in PANELS:
        scores = scores_of(results, panel)
        if _comparable(scores):
            title = ", ".join(panel)
            found += [
                Paragraph(f"{title.capitalize()} ({_extent(scores)}). {summary(scores)}"),
                table(scores),
                by_data_set(scores),
            ]
    return [*found, Picture(PICTURE, "Difference to the plain sum, in points, with its 95 % interval")]


def scores_of(results: Results, panel: Panel) -> Scores:
    """Accuracies of the folds that every contestant but the slow ones has finished."""
    datasets = [task["dataset"] for task in results.config["tasks"]]
    if panel[0] == AVERAGE:
        each = [scores_of(results, p) for p in PANELS if p[0] in CONDITIONS]
        return _averaged([scores for scores in each if _comparable(scores)])
    condition, optimiser = (CLEAN if panel[0] == MISSING else panel[0]), panel[1]
    measure = "missing" if panel[0] == MISSING else "accuracy"
    every: dict[str, dict[str, dict[int, float]]] = {}
    for name in CONTESTANTS:
        for dataset in datasets:
            values = results.values_of(key(f"{dataset}, {condition}, {optimiser}", name, measure))
            every.setdefault(name, {})[dataset] = {_fold(run): value for run, value in values.items()}
    return _complete(every)


def _fold(run: str) -> int:
    """Fold in the name of a run, such as ``"watch, clean, sgd, fold 0: plain sum"``."""
    return int(run.split(": ", maxsplit=1)[0].rsplit(" ", 1)[1])


def _complete(every: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Scores:
    """Cells that all but the slow contestants have finished, and slow ones that have finished them too."""
    needed = [name for name in every if not CONTESTANTS[name].slow]
    cells = set.intersection(*(_cells(every[name]) for name in needed)) if needed else set()
    kept = [name for name in every if cells <= _cells(every[name])]
    datasets = list(dict.fromkeys(dataset for name in needed for dataset in every[name]))
    return {
        name: {
            d: {fold: every[name][d][fold] for fold in sorted(every[name][d]) if (d, fold) in cells}
            for d in datasets
            if any(cell[0] == d for cell in cells)
        }
        for name in (kept if cells else ())
    }


def _cells(scores: Mapping[str, Mapping[int, float]]) -> set[tuple[str, int]]:
    return {(dataset, fold) for dataset, folds in scores.items() for fold in folds}


def _averaged(each: list[Scores]) -> Scores:
    """Mean over panels, in the cells and for the contestants that are in all of them."""
    if not each:
        return {}
    names = [name for name in each[0] if all(name in scores for scores in each)]
    cells = set.intersection(*(_cells(scores[REFERENCE]) for scores in each))
    return {
        name: {
            dataset: {
                fold: float(np.mean([scores[name][dataset][fold] for scores in each]))
                for fold in folds
                if (dataset, fold) in cells
            }
            for dataset, folds in each[0][name].items()
            if any(cell[0] == dataset for cell in cells)
        }
        for name in names
    }


def _comparable(scores: Scores) -> bool:
    """Whether there are two data sets or more, of two folds or more: one fold says nothing of its noise."""
    return (
        REFERENCE in scores and len(scores[REFERENCE]) >= 2 and min(map(len, scores[REFERENCE].values())) > 1
    )


def _extent(scores: Scores) -> str:
    counts = {dataset: len(folds) for dataset, folds in scores[REFERENCE].items()}
    return ", ".join(f"{dataset} {count} of {FOLDS} folds" for dataset, count in counts.items())


def verdict(scores: Scores, pair: Pair) -> Verdict:
    """What the differences of a pair say."""
    mine, theirs = scores[pair.contestant], scores[pair.reference]
    return _verdict(tuple(tuple(mine[d][f] - theirs[d][f] for f in mine[d]) for d in mine))


@cache
def _verdict(differences: tuple[tuple[float, ...], ...]) -> Verdict:
    return posterior(differences, FOLDS)


def table(scores: Scores) -> Table:
    """Accuracy by contestant and data set, and its difference to the plain sum."""
    datasets = list(scores[REFERENCE])
    rows = []
    for name, found in scores.items():
        means = [100 * float(np.mean(list(found[dataset].values()))) for dataset in datasets]
        compared = (
            ("", "", "", "") if name == REFERENCE else _compared(verdict(scores, Pair(name, REFERENCE)))
        )
        rows.append((name, *(f"{mean:.1f}" for mean in means), f"{np.mean(means):.1f}", *compared))
    header = ("contestant", *datasets, "mean", "- plain sum", "P below", "P within", "P above")
    return Table(header, tuple(rows))


def by_data_set(scores: Scores) -> Table:
    """Paired difference of each form of bogc to the plain sum, corrected for overlapping training sets."""
    reference = scores[REFERENCE]
    rows = [
        (
            f"{name} - {REFERENCE}",
            *(_paired(scores[name][dataset], reference[dataset]) for dataset in reference),
        )
        for name in OURS
        if name in scores
    ]
    return Table(("by data set, 95 %", *reference), tuple(rows))


def _paired(values: Mapping[int, float], reference: Mapping[int, float]) -> str:
    found = paired_difference(list(values.values()), list(reference.values()), OVERLAP)
    return found.percent("+")


def _compared(found: Verdict) -> tuple[str, str, str, str]:
    interval = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return interval, f"{found.below:.2f}", f"{found.within:.2f}", f"{found.above:.2f}"


def summary(scores: Scores) -> str:
    """What the protocol lets us say of bogc, in a sentence for each of its forms against each reference."""
    parts = []
    for name in (ours for ours in OURS if ours in scores):
        against = [Pair(name, reference) for reference in (REFERENCE, *CONTROLS) if reference in scores]
        said = "; ".join(f"{word(verdict(scores, pair))} {pair.reference}" for pair in against)
        parts.append(f"`{name}` is {said}.")
    return " ".join(parts)


def word(found: Verdict) -> str:
    """Better than, worse than, equivalent to, each with its probability, or not decided against."""
    for probability, text in (
        (found.above, "better than"),
        (found.below, "worse than"),
        (found.within, "equivalent to"),
    ):
        if probability >= SURE:
            return f"{text} ({probability:.2f})"
    return "not decided against"


def picture(results: Results) -> Figure:
    """One panel a condition and optimiser, one line a contestant; the region of equivalence is shaded."""
    panels = [(panel, scores_of(results, panel)) for panel in PANELS]
    shown = [(panel, scores) for panel, scores in panels if _comparable(scores)]
    names = [name for name in CONTESTANTS if name != REFERENCE]
    columns = max(1, min(4, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(3 + 2.4 * columns, 0.6 + 3.4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for axis, (panel, scores) in zip(axes, shown, strict=False):
        for place, name in enumerate(reversed(names)):
            if name in scores:
                found = verdict(scores, Pair(name, REFERENCE))
                colour = COLOURS[0] if name in OURS else COLOURS[1] if name in CONTROLS else "0.4"
                axis.plot([100 * found.low, 100 * found.high], [place, place], color=colour, linewidth=1.2)
                axis.plot(100 * found.mean, place, "o", color=colour, markersize=4)
        axis.axvspan(-100 * REGION, 100 * REGION, color="0.9", zorder=0)
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set_yticks(range(len(names)), list(reversed(names)), fontsize=7)
        axis.set_title(",\n".join(panel), fontsize=8)
        axis.tick_params(axis="x", labelsize=7)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    figure.supxlabel("accuracy less the plain sum's, points", fontsize=8)
    return figure
