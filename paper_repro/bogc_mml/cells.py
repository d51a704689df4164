"""Values of several variants on the same cells, a cell being a data set and a fold."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bogc.training.statistics import Interval, mean_interval, paired_difference, paired_p
from paper_repro.results import Results

OVERLAP: Final = 1 / 3  # one of five folds is tested on for three that are trained on
Cells = Mapping[str, Mapping[str, list[float]]]
"""Variant to data set to one value a fold, in the same order of folds for every variant."""


def cells_of(
    results: Results, datasets: list[str], variants: list[str], key: Callable[[str, str], str]
) -> Cells:
    """Read the cells that have been run; variants and data sets without any are left out."""
    found: dict[str, dict[str, list[float]]] = {}
    for variant in variants:
        columns = {d: list(results.values_of(key(d, variant)).values()) for d in datasets}
        kept = {dataset: values for dataset, values in columns.items() if values}
        if kept:
            found[variant] = kept
    return found


def flat(cells: Mapping[str, list[float]]) -> list[float]:
    """One variant's values over all data sets, in their order."""
    return [value for values in cells.values() for value in values]


def mean_of_datasets(cells: Mapping[str, list[float]]) -> float:
    """Mean over data sets of the mean over folds."""
    return float(np.mean([np.mean(values) for values in cells.values()]))


def difference(cells: Cells, variant: str, reference: str) -> Interval:
    """Mean paired difference over all cells."""
    return paired_difference(flat(cells[variant]), flat(cells[reference]), OVERLAP)


def p_value(cells: Cells, variant: str, reference: str) -> float | None:
    """Of no difference, two-sided, over all cells."""
    return paired_p(flat(cells[variant]), flat(cells[reference]), OVERLAP)


def main_effect(table: NDArray[np.float64], axis: int, level: int) -> Interval:
    """What a level adds to the mean over the levels of its factor, all else equal and averaged over.

    Args:
        table: One axis a factor, the last axis the cells.
        axis: Of the factor.
        level: Along it.
    """
    centred = table - table.mean(axis, keepdims=True)
    others = tuple(range(centred.ndim - 2))
    return mean_interval(list(centred.take(level, axis).mean(others)), OVERLAP)
