"""Frozen values of Dempster's rule, worked by hand in the mathematics of the project."""

from typing import NamedTuple


class Worked(NamedTuple):
    """Two sources of evidence with W = K, and what their combination is (None: not worked)."""

    first: list[float]
    second: list[float]
    conflict: float
    evidence: list[float]
    belief: list[float] | None = None
    uncertainty: float | None = None


WORKED = {
    "one sure and one even": Worked(
        [40, 1, 1], [5, 5, 5], 0.518519, [111.6667, 7.6667, 7.6667], [0.858974, 0.058974, 0.058974], 0.0230769
    ),
    "two sure of different": Worked([40, 1, 1], [1, 40, 1], 0.831111, [54.3333, 54.3333, 2.3333]),
    "two opposite": Worked([10, 0], [0, 10], 0.694444, [10, 10]),
    "one leaning and one even": Worked([3, 1], [2, 2], 0.222222, [8, 4], [4 / 7, 2 / 7], 1 / 7),
}

ZADEH = (
    [0.99, 0.0, 0.01],  # meningitis, concussion, tumour: the first doctor
    [0.0, 0.99, 0.01],  # the second
    0.9999,  # conflict
    [0.0, 0.0, 1.0],  # certain of the tumour, that both thought unlikely
)
