"""Means with confidence intervals over folds, paired comparisons, and correction for their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bogc.checks import check_number
from bogc.errors import TooFewSamplesError

ROUNDING: Final = 1e-12  # below it, differences of shares are equal


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


@dataclass(frozen=True)
class Difference:
    """A paired difference to a reference method.

    Attributes:
        reference: Name of that method.
        interval: Mean difference; its interval is not corrected for the number of comparisons.
        p: Two-sided p-value of no difference; None for one pair.
        corrected: ``p`` after Holm's correction over all differences shown together.
    """

    reference: str
    interval: Interval
    p: float | None
    corrected: float | None


def mean_interval(values: Sequence[float], overlap: float = 0.0, level: float = 0.95) -> Interval:
    """Student-t interval of the mean of values from resampled training sets.

    Folds share training data, so their values are correlated and s^2 / J is too small a variance of the mean
    of J of them; no unbiased estimate exists (Bengio and Grandvalet 2004). The correction of Nadeau and
    Bengio (Inference for the Generalization Error, NIPS 1999) takes s^2 (1 / J + overlap), where overlap is
    the ratio of test to training samples; for folds it is an approximation.

    Args:
        values: One a fold, [J].
        overlap: Test samples for each training sample; 0 means independent values.
        level: Of confidence.

    Raises:
        TooFewSamplesError: No value.
        RangeError: ``overlap`` is negative.
    """
    check_number("overlap", overlap, overlap >= 0, "must not be negative", "Use n_test / n_train.")
    if len(values) == 0:
        raise TooFewSamplesError("values", "must hold at least one", 0, "Finish a run first.")
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 1:
        return Interval(float(data[0]), None)
    from scipy import stats  # slow to import

    half = stats.t.ppf((1 + level) / 2, len(data) - 1) * _error(data, overlap)
    return Interval(float(data.mean()), float(half))


def paired_difference(values: Sequence[float], reference: Sequence[float], overlap: float = 0.0) -> Interval:
    """Interval of the mean of values - reference, pair by pair; ``overlap`` as for mean_interval."""
    return mean_interval([a - b for a, b in zip(values, reference, strict=True)], overlap)


def paired_p(values: Sequence[float], reference: Sequence[float], overlap: float = 0.0) -> float | None:
    """Two-sided p-value of the t-test whose interval ``paired_difference`` gives; None for one pair.

    Differences without spread give 1, whatever their mean: on few folds, shares of few samples agree by
    coincidence, and then the test has no scale to measure the mean by.
    """
    data = np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    if len(data) < 2:
        return None
    error = _error(data, overlap)
    if error < ROUNDING:
        return 1.0
    from scipy import stats  # slow to import

    return float(2 * stats.t.sf(abs(data.mean()) / error, len(data) - 1))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values of m tests: any false positive below a level has at most that chance.

    The k-th smallest of m is multiplied by m - k + 1, kept at least as large as those before, and at most 1
    (Holm 1979, A simple sequentially rejective multiple test procedure). Tests may depend on each other.

    Raises:
        RangeError: A value is outside [0, 1].
    """
    for value in p:
        check_number("p", value, 0 <= value <= 1, "must lie in [0, 1]", "Pass p-values.")
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(value) for value in adjusted]


def _error(data: "np.ndarray[tuple[int], np.dtype[np.float64]]", overlap: float) -> float:
    """Standard error of the mean."""
    return float(data.std(ddof=1) * np.sqrt(1 / len(data) + overlap))
