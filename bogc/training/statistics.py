"""Means with confidence intervals, and paired comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bogc.errors import TooFewSamplesError


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval, mean - half .. mean + half; half is None for one value."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.half is None else f"{self.mean:.3f} ± {self.half:.3f}"

    def percent(self, sign: str = "") -> str:
        """Text in percent, or percentage points with a sign."""
        mean = f"{100 * self.mean:{sign}.1f}"
        return mean if self.half is None else f"{mean} ± {100 * self.half:.1f}"


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student-t interval of the mean of independent values.

    Test folds share training data, so that values of different folds are not quite independent and the
    interval is somewhat too short (Bengio and Grandvalet 2004: no unbiased estimate exists).

    Raises:
        TooFewSamplesError: No value.
    """
    if len(values) == 0:
        raise TooFewSamplesError("values", "must hold at least one", 0, "Finish a run first.")
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 1:
        return Interval(float(data[0]), None)
    half = stats.t.ppf((1 + level) / 2, len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data))
    return Interval(float(data.mean()), float(half))


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """Interval of the mean of values - reference, pair by pair."""
    return mean_interval([a - b for a, b in zip(values, reference, strict=True)])
