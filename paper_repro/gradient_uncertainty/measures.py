"""What is measured, as functions of plain arrays: rank correlation, coverage, calibration of probabilities."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]
LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's correlation over the last axis, its mean over all others; ties share their mean rank.

    Rows in which either is constant are left out; NaN if all are.
    """
    x, y = (_centred_ranks(values) for values in (first, second))
    scale = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    valid = scale > 0
    return float(((x * y).sum(-1)[valid] / scale[valid]).mean()) if valid.any() else float("nan")


def central_coverage(error: Array, scale: Array, level: float, df: Array | None = None) -> float:
    """Share of errors within the central interval that is to hold ``level`` of them.

    Args:
        error: Truth minus location.
        scale: Standard deviation of a Normal, or scale of a Student-t.
        level: In (0, 1).
        df: Degrees of freedom of the Student-t; None for a Normal.
    """
    upper = (1 + level) / 2
    quantile = stats.norm.ppf(upper) if df is None else stats.t.ppf(upper, df)
    return float((np.abs(error) <= quantile * scale).mean())


def calibration_error(probability: Array, happened: npt.NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: mean distance of frequency and probability, over bins of equal width."""
    return float(sum(abs(row[1] - row[2]) * row[0] for row in reliability(probability, happened, bins)))


def reliability(
    probability: Array, happened: npt.NDArray[np.bool_], bins: int = 10
) -> list[tuple[float, float, float]]:
    """For each bin that is not empty: its share of all, mean probability, and frequency."""
    index = np.minimum((probability * bins).astype(int), bins - 1)
    found = []
    for number in range(bins):
        inside = index == number
        if inside.any():
            found.append(
                (float(inside.mean()), float(probability[inside].mean()), float(happened[inside].mean()))
            )
    return found


def brier(probability: Array, happened: npt.NDArray[np.bool_]) -> float:
    """Mean squared distance of probability and outcome; 0.25 for a constant one half."""
    return float(np.square(probability - happened).mean())


def _centred_ranks(values: Array) -> Array:
    ranks: Array = stats.rankdata(values, axis=-1)
    return ranks - ranks.mean(-1, keepdims=True)
