"""Checks of chapter 4, fifth part: canonical weights and the cautious rule.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them. References
come from the definitions on the power set: superset sums, and intersections of simple supports.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations_with_replacement
from math import prod
from typing import Any

from bogc.combination import cautious
from theory.registry import How, check
from theory.support.dempster_checks import bogc_opinion, chapter, generic
from theory.support.exact import largest
from theory.support.powerset import fuse, intersect, listed, mass_of, opinions, subsets

Source = tuple[list[Fraction], Fraction]


def doubtful(hypotheses: int, parts: int) -> list[Source]:
    """Opinions of coarse masses that are not dogmatic."""
    return [(b, u) for b, u in opinions(hypotheses, parts) if u]


def weights(source: Source) -> list[Fraction]:
    """Canonical weights of all subsets but the frame, the empty set first, by the definition."""
    sets = subsets(len(source[0]))
    mass = mass_of(*source)
    q = {a: sum((m for b, m in mass.items() if a <= b), Fraction(0)) for a in sets}
    return [prod(q[b] ** (-1) ** (len(b - a) + 1) for b in sets if a <= b) for a in sets[:-1]]


def supports(weights: Sequence[Any], hypotheses: int) -> list[dict[frozenset[int], Any]]:
    """Simple supports of the non-empty subsets that say anything."""
    *inner, frame = subsets(hypotheses)[1:]
    return [{a: 1 - w, frame: w} for a, w in zip(inner, weights, strict=True) if w != 1]


def fused(weights: Sequence[Any], hypotheses: int) -> list[Any]:
    """Masses of all subsets, by intersection of the simple supports."""
    frame = {frozenset(range(hypotheses)): Fraction(1)}
    joint, _ = fuse([frame, *supports(weights, hypotheses)]) or ({}, 0)
    return listed(joint, hypotheses)


@check("4.37", how=How.EXHAUSTIVE)
def canonical_weights_by_definition() -> float:
    """Products of commonalities, for all coarse opinions on two to four hypotheses."""
    error = 0.0
    for hypotheses, parts in ((2, 6), (3, 5), (4, 4)):
        for source in doubtful(hypotheses, parts):
            error = max(error, largest(chapter().canonical_weights(*source), weights(source)[1:]))
    return error


@check("4.37", how=How.EXHAUSTIVE)
def weights_compose_the_opinion() -> float:
    """Intersection of the simple supports is the opinion; its conflict is what w of the empty set undoes."""
    error = 0.0
    for hypotheses, parts in ((2, 6), (3, 5), (4, 4)):
        for b, u in doubtful(hypotheses, parts):
            found = chapter().canonical_weights(b, u)
            error = max(error, largest(fused(found, hypotheses), listed(mass_of(b, u), hypotheses)))
            undone, *rest = weights((b, u))
            frame = {frozenset(range(hypotheses)): Fraction(1)}
            joint = intersect([frame, *supports(rest, hypotheses)])
            left = joint.get(frozenset(), 0) * undone + 1 - undone
            wanted = prod(x + u for x in b) / u ** (hypotheses - 1)
            error = max(error, abs(float(left)), abs(float(undone - wanted)), float(undone < 1))
    return error


@check("4.38", how=How.EXHAUSTIVE)
def least_weights_by_intersection() -> float:
    """Smallest canonical weights of all pairs of coarse opinions and of three generic ones, intersected."""
    b1, u1, b2, u2 = generic()
    third = [Fraction(n, 31) for n in (9, 2, 17)]
    groups: list[tuple[Source, ...]] = [((b1, u1), (b2, u2), (third, Fraction(3, 31)))]
    for hypotheses, parts in ((2, 5), (3, 4)):
        groups += combinations_with_replacement(doubtful(hypotheses, parts), 2)
    error = 0.0
    for group in groups:
        b, u = chapter().cautious(*zip(*group, strict=True))
        error = max(error, largest(listed(mass_of(b, u), len(b)), least(group)))
    return error


def least(group: Sequence[Source]) -> list[Any]:
    """Masses of the cautious rule on the power set; by (4.2) the empty set conditions itself away."""
    smallest = [min(column) for column in zip(*map(weights, group), strict=True)]
    return fused(smallest[1:], len(group[0][0]))


@check("4.38", how=How.NUMERICAL, tolerance=1e-15, code="bogc.combination.cautious.combine")
def code_takes_the_least_weights() -> float:
    """The same for a generic pair in bogc, and one fused again with a source it has seen."""
    b1, u1, b2, u2 = generic()
    exact = least([(b1, u1), (b2, u2)])
    error = 0.0
    for sources in ([(b1, u1), (b2, u2)], [(b2, u2), (b1, u1), (b2, u2)]):
        code = cautious.combine([bogc_opinion(*source) for source in sources])
        masses = mass_of(code.belief.tolist(), float(code.uncertainty))
        error = max(error, largest(listed(masses, 3), exact))
    return error
