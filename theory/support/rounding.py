"""Dempster's rule in float32, three ways, and what judges them: exact values and a count of roundings."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

EPS = 2.0**-24  # unit roundoff of float32
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rounded:
    """A positive number known up to ``count`` factors (1 + delta)**(+-1); arithmetic counts them."""

    count: int = 0

    def __add__(self, other: "Rounded") -> "Rounded":
        return Rounded(max(self.count, other.count) + 1)

    def __mul__(self, other: "Rounded") -> "Rounded":
        return Rounded(self.count + other.count + 1)

    def __truediv__(self, other: "Rounded") -> "Rounded":
        return Rounded(self.count + other.count + 1)


@dataclass(frozen=True)
class Readings:
    """Relative errors of float32 computations, one an evidence t of sources (t, 0) and (0, t).

    Attributes:
        positive: Belief and evidence by the positive form, whichever is worse.
        complement: Belief by division by 1 - C.
        ratio: Evidence W b / u, both divided by 1 - C.
        remainder: Uncertainty, when it is then taken as 1 - sum b.
    """

    positive: NDArray[np.float64]
    complement: NDArray[np.float64]
    ratio: NDArray[np.float64]
    remainder: NDArray[np.float64]


def readings(evidence: Array, weight: float) -> Readings:
    """Compute the fused opinion of (t, 0) and (0, t) in float32; NaN or infinity where a form breaks down."""
    one, w = np.float32(1), np.float32(weight)
    b, u = evidence / (evidence + w), w / (evidence + w)  # of either source
    exact = evidence.astype(np.float64)
    belief = exact / (2 * exact + weight)  # fused, of either hypothesis; the fused evidence is t again
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = b * u  # b1 b2 = 0, and one of b1 u2 and u1 b2 is
        total = joint + joint + u * u
        forms = joint / total, u * u / total
        rest = one - b * b
        complement, vacuous = joint / rest, u * u / rest
        remainder = one - (complement + complement)
        by_belief, by_evidence = relative(forms[0], belief), relative(w * forms[0] / forms[1], exact)
        return Readings(
            np.maximum(by_belief, by_evidence),
            relative(complement, belief),
            relative(w * complement / vacuous, exact),
            relative(remainder, weight / (2 * exact + weight)),
        )


def relative(found: Array, exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative error in float64."""
    error: NDArray[np.float64] = np.abs(found.astype(np.float64) - exact) / exact
    return error


def around(evidence: float, count: int = 200) -> Array:
    """Evidence within ten percent, evenly spaced on a logarithmic scale."""
    return (evidence * np.geomspace(0.9, 1.1, count)).astype(np.float32)


def exact_product(values: list[float], weight: Fraction) -> Fraction:
    """Fused evidence, exactly."""
    result = Fraction(1)
    for value in values:
        result *= 1 + Fraction(value) / weight
    return weight * (result - 1)
