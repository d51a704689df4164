"""Denoeux's canonical decomposition and cautious rule (2008) as they are written, on the power set.

Slow and obvious, on the dictionaries of ``tests.oracles.dempster``; with fractions it is exact.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from tests.oracles import dempster
from tests.oracles.dempster import Mass


def powerset(hypotheses: int) -> list[frozenset[int]]:
    return [frozenset(c) for size in range(hypotheses + 1) for c in combinations(range(hypotheses), size)]


def weights(mass: Mass[Fraction], hypotheses: int) -> dict[frozenset[int], Fraction]:
    """w(A) = prod over B >= A of q(B)^((-1)^(|B| - |A| + 1)), for every A but the frame; all q > 0."""
    sets = powerset(hypotheses)
    q = {a: sum((m for b, m in mass.items() if a <= b), Fraction(0)) for a in sets}
    found = {}
    for a in sets[:-1]:
        found[a] = Fraction(1)
        for b in sets:
            if a <= b:
                found[a] *= q[b] ** (-1) ** (len(b) - len(a) + 1)
    return found


def compose(weights: dict[frozenset[int], Fraction], hypotheses: int) -> Mass[Fraction]:
    """Unnormalised conjunction of A^w, each 1 - w on A and w on the frame; a weight may exceed 1."""
    frame = frozenset(range(hypotheses))
    joint: Mass[Fraction] = {frame: Fraction(1)}
    for a, weight in weights.items():
        joint = dempster.conjunction(joint, {a: 1 - weight, frame: weight})
    return joint


def cautious(masses: Sequence[Mass[Fraction]], hypotheses: int) -> tuple[Mass[Fraction], Fraction]:
    """Return the normalised rule, and the mass that its smallest weights leave on the empty set."""
    decomposed = [weights(mass, hypotheses) for mass in masses]
    joint = compose({a: min(w[a] for w in decomposed) for a in decomposed[0]}, hypotheses)
    conflict = joint.pop(frozenset(), Fraction(0))
    left = sum(joint.values())
    return {subset: mass / left for subset, mass in joint.items()}, conflict
