"""Dempster's rule as it is written: every pair of subsets, once, with any kind of number.

Slow and obvious. With ``fractions.Fraction`` it is exact, since every float is a fraction.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Fraction)
Mass = dict[frozenset[int], Number]


def members(index: int) -> frozenset[int]:
    """Bit k of the index says whether hypothesis k is in the subset."""
    return frozenset(k for k in range(index.bit_length()) if index >> k & 1)


def from_tensor(values: Tensor, number: Callable[[float], Number]) -> Mass[Number]:
    return {members(index): number(value) for index, value in enumerate(values.tolist()) if value}


def from_opinion(belief: Sequence[Number], uncertainty: Number) -> Mass[Number]:
    singletons = {frozenset([k]): share for k, share in enumerate(belief)}
    return {**singletons, frozenset(range(len(belief))): uncertainty}


def from_evidence(evidence: Sequence[Number], prior_weight: Number) -> Mass[Number]:
    strength = sum(evidence) + prior_weight
    return from_opinion([amount / strength for amount in evidence], prior_weight / strength)


def conjunction(first: Mass[Number], second: Mass[Number]) -> Mass[Number]:
    """m(A) = sum over B and C with intersection A of m1(B) m2(C)."""
    joint: Mass[Number] = {}
    for b, mass_b in first.items():
        for c, mass_c in second.items():
            joint[b & c] = joint.get(b & c, 0) + mass_b * mass_c
    return joint


def combine(masses: Sequence[Mass[Number]]) -> tuple[Mass[Number], Number]:
    """Return the combined mass function, and the conflict C."""
    joint = masses[0]
    for mass in masses[1:]:
        joint = conjunction(joint, mass)
    conflict = joint.pop(frozenset(), 0)
    left = sum(joint.values())
    return {subset: mass / left for subset, mass in joint.items()}, conflict


def to_list(mass: Mass[Number], hypotheses: int) -> list[float]:
    return [float(mass.get(members(index), 0)) for index in range(2**hypotheses)]
