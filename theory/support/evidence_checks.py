"""Checks of chapter 4, second part: the rule on evidence.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, product
from math import log
from typing import Any

import sympy

from bogc.belief import Evidence
from bogc.combination import reduced
from theory.registry import How, check
from theory.support.dempster_checks import chapter, double
from theory.support.exact import largest
from theory.support.powerset import fuse, intersect, mass_of

WORKED = (((40, 1, 1), (5, 5, 5)), ((40, 1, 1), (1, 40, 1)), ((10, 0), (0, 10)), ((3, 1), (2, 2)))


@check("4.14", how=How.SYMBOLIC)
def product_form_on_symbols() -> float:
    """Intersections of M = 2, 3, 4 sources on K = 2 and of 2, 3 on K = 3; evidence and W are symbols."""
    weight = sympy.Symbol("W", positive=True)
    for size, sources in ((2, 2), (2, 3), (2, 4), (3, 2), (3, 3)):
        evidence = [list(sympy.symbols(f"e{m}_:{size}", positive=True)) for m in range(sources)]
        joint = intersect([mass_of(e, weight) for e in evidence])
        frame = joint[frozenset(range(size))]
        for k in range(size):
            fused = chapter().product_form([e[k] for e in evidence], weight)
            if sympy.expand(weight * joint[frozenset([k])] - frame * fused) != 0:
                return 1.0
    return 0.0


def evidence_groups() -> Iterator[tuple[Fraction, tuple[Any, ...], dict[Any, Fraction], Fraction]]:
    """Groups of evidence vectors with several prior weights, fused as random subsets."""
    amounts = [Fraction(0), Fraction(5, 2), Fraction(7)]
    for weight, size, sources in ((Fraction(2), 2, 3), (Fraction(7, 3), 2, 2), (Fraction(3), 3, 2)):
        for group in combinations_with_replacement(list(product(amounts, repeat=size)), sources):
            joint, lost = fuse([mass_of(e, weight) for e in group]) or ({}, Fraction(1))
            yield weight, group, joint, lost


@check("4.14", "4.17", "4.18", how=How.EXHAUSTIVE)
def evidence_multiplies() -> float:
    """Fused evidence, u and 1 - C against intersections, in exact rationals; u exceeds no source's."""
    error = 0.0
    for weight, group, joint, lost in evidence_groups():
        size = len(group[0])
        u = joint[frozenset(range(size))]
        exact = [weight * joint.get(frozenset([k]), 0) / u for k in range(size)]
        found = [chapter().product_form([e[k] for e in group], weight) for k in range(size)]
        strengths = [weight + sum(e) for e in group]
        error = max(error, largest(found, exact), abs(float(chapter().fused_uncertainty(group, weight) - u)))
        error = max(error, abs(float(chapter().consensus(weight / u, strengths, weight) - (1 - lost))))
        error = max(error, float(u > min(weight / s for s in strengths)))
    return error


@check("4.15", how=How.SYMBOLIC)
def evidence_forms_a_monoid() -> float:
    """The product form of two; order, grouping and no evidence do not matter."""
    x, y, z, w = sympy.symbols("x y z W", positive=True)
    join = chapter().join
    differences = [
        join(x, y, w) - w * ((1 + x / w) * (1 + y / w) - 1),
        join(join(x, y, w), z, w) - join(x, join(y, z, w), w),
        join(x, y, w) - join(y, x, w),
        join(x, 0, w) - x,
    ]
    return float(any(sympy.expand(d) != 0 for d in differences))


@check("4.16", how=How.NUMERICAL, tolerance=1e-14)
def logarithms_add() -> float:
    """Log of the ratio of exact fused masses, for three sources and a fractional W."""
    weight, evidence = Fraction(5, 2), [(3, 7), (11, 2), (4, 9)]
    joint, _ = fuse([mass_of(e, weight) for e in evidence]) or ({}, 0)
    frame = joint[frozenset(range(2))]
    exact = [log((joint[frozenset([k])] + frame) / frame) for k in range(2)]
    return largest([chapter().log_ratio([e[k] for e in evidence], float(weight)) for k in range(2)], exact)


@check("4.19", how=How.RATIONAL)
def worked_values() -> float:
    """The four worked cases by intersection, W = K."""
    return max(largest(chapter().worked(n), values) for n, values in enumerate(worked_exactly()))


@check("4.15", "4.19", how=How.NUMERICAL, tolerance=1e-14, code="bogc.combination.reduced.combine_evidence")
def code_has_the_worked_values() -> float:
    """Evidence fused by bogc in the four worked cases, and by the two-source formula."""
    error = 0.0
    for pair, (_, *exact) in zip(WORKED, worked_exactly(), strict=True):
        weight = float(len(pair[0]))
        fused = reduced.combine_evidence([Evidence(double(e), weight) for e in pair]).values.tolist()
        by_formula = [chapter().join(x, y, weight) for x, y in zip(*pair, strict=True)]
        relative = [
            abs(float(f / x) - 1)
            for values in (fused, by_formula)
            for f, x in zip(values, exact, strict=True)
        ]
        error = max(error, *relative)
    return error


def worked_exactly() -> Iterator[tuple[Any, ...]]:
    """Conflict and fused evidence of the worked cases, by intersection."""
    for pair in WORKED:
        size = len(pair[0])
        joint, lost = fuse([mass_of(e, size) for e in pair]) or ({}, Fraction(1))
        frame = joint[frozenset(range(size))]
        yield lost, *(size * joint[frozenset([k])] / frame for k in range(size))
