"""When a published number counts as reproduced: the one place that says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bogc.training.statistics import Interval
from paper_repro.rounding import three_digits

FEWEST_RUNS: Final = 5
WIDEST: Final = 0.01  # of the published value: a wider interval would overlap with almost anything


class Kind(StrEnum):
    """What can be said of a row."""

    REPRODUCED = "reproduced"
    OFF = "off"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"
    NEEDS_DATA = "needs data"
    NOT_AVAILABLE = "not available"


@dataclass(frozen=True)
class Status:
    """The verdict on a row.

    Attributes:
        kind: In a word.
        difference: Our mean minus the published value; None if either is missing.
        gap: Distance between the two intervals, 0 if they overlap; None as above.
        reason: Why there is no verdict, where there is none.
    """

    kind: Kind
    difference: float | None = None
    gap: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.OFF and self.difference is not None:
            return f"off by {self.difference:+.3g}"
        return str(self.kind)


def judge(value: float, half_width: float, measured: Interval, runs: int) -> Status:
    """Compare a published number with a measured one.

    - *reproduced*: the intervals overlap, and ours is a fair test: at least ``FEWEST_RUNS`` runs, and a half
      width of at most ``WIDEST`` times the published value, or the published half width if that is larger.
    - *off*: the intervals are disjoint, with at least ``FEWEST_RUNS`` runs.
    - *inconclusive*: otherwise.

    Args:
        value: As published.
        half_width: Its published spread, or half a unit of its last digit.
        measured: Our mean and its 95 % interval.
        runs: How many values that is made of.
    """
    difference = measured.mean - value
    gap = max(0.0, abs(difference) - half_width - (measured.half or 0.0))
    if runs < FEWEST_RUNS or measured.half is None:
        reason = f"{runs} of at least {FEWEST_RUNS} runs"
        return Status(Kind.INCONCLUSIVE, difference, gap, reason)
    if gap > 0:
        return Status(Kind.OFF, difference, gap)
    if measured.half > max(half_width, WIDEST * abs(value)):
        return Status(Kind.INCONCLUSIVE, difference, gap, "our interval is too wide to tell")
    return Status(Kind.REPRODUCED, difference, gap)


def judge_up_to(value: float, readings: Sequence[Sequence[float]]) -> Status:
    """Compare a published "up to" with what was measured under every reading of what it is about.

    Nobody says which case gave the largest value, so one case that reaches it is enough:

    - *reproduced*: under every reading, the largest of our cases is at least ``value`` in every run.
    - *off*: under every reading, it is below ``value`` in every run.
    - *inconclusive*: otherwise, or with fewer than ``FEWEST_RUNS`` runs.

    Args:
        value: As published.
        readings: For each reading, the largest value of our cases in each run.
    """
    ranges = "; ".join(f"{three_digits(min(values))} to {three_digits(max(values))}" for values in readings)
    runs = min(map(len, readings))
    if runs < FEWEST_RUNS:
        return Status(Kind.INCONCLUSIVE, reason=f"{runs} of at least {FEWEST_RUNS} runs: {ranges}")
    if all(min(values) >= value for values in readings):
        return Status(Kind.REPRODUCED, reason=f"reached under every reading: {ranges}")
    if all(max(values) < value for values in readings):
        return Status(Kind.OFF, reason=f"reached under no reading: {ranges}")
    return Status(Kind.INCONCLUSIVE, reason=f"the reading decides: {ranges}")
