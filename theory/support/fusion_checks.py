"""Checks of chapter 4, third part: Bayesian, cumulative and averaging fusion beside the rule; Zadeh's case.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them.
"""

from fractions import Fraction

import sympy
import torch

from bogc.belief import Evidence
from bogc.combination import cumulative, reduced
from theory.registry import How, check
from theory.support.dempster_checks import bogc_opinion, chapter, double, generic
from theory.support.exact import differ, largest
from theory.support.powerset import fuse, mass_of

RELIABLE, WHOLE = frozenset([0]), frozenset([0, 1])
RATIOS = (Fraction(7, 3), Fraction(5, 2), Fraction(11, 4), Fraction(13, 6))  # precisions over the prior's
WEIGHT = Fraction(5, 3)


@check("4.20", how=How.RATIONAL)
def dempster_multiplies_precisions() -> float:
    """1 / u after intersection of simple supports, for two to four sources."""
    error = 0.0
    for sources in (2, 3, 4):
        ratios = RATIOS[:sources]
        joint, _ = fuse([mass_of((WEIGHT * (r - 1), 0), WEIGHT) for r in ratios]) or ({}, 0)
        error = max(error, abs(float(chapter().precision_product(ratios) - 1 / joint[WHOLE])))
    return error


@check("4.20", how=How.NUMERICAL, tolerance=1e-13, code="bogc.combination.reduced.combine_evidence")
def code_multiplies_precisions() -> float:
    """1 + e / W of the evidence that bogc fuses, against 1 / u after intersection."""
    evidence = [(WEIGHT * (r - 1), Fraction(0)) for r in RATIOS]
    joint, _ = fuse([mass_of(e, WEIGHT) for e in evidence]) or ({}, 0)
    code = reduced.combine_evidence([Evidence(double(e), float(WEIGHT)) for e in evidence])
    return abs(1 + float(code.values[0]) / code.prior_weight - float(1 / joint[WHOLE]))


@check("4.21", how=How.SYMBOLIC)
def bayes_adds_precisions() -> float:
    """Curvature of the log posterior of one Normal prior and three sources' Normal observations."""
    g, prior = sympy.symbols("g Lambda0", positive=True)
    counts, centres, noises = (sympy.symbols(f"{name}1:4", positive=True) for name in ("N", "x", "s"))
    log_density = -prior * g**2 / 2
    for n, x, s in zip(counts, centres, noises, strict=True):
        log_density -= n * (x - g) ** 2 / (2 * s)
    together = -sympy.diff(log_density, g, 2) / prior
    alone = [(prior + n / s) / prior for n, s in zip(counts, noises, strict=True)]
    return differ([chapter().precision_sum(alone)], [together])


@check("4.22", how=How.RATIONAL)
def what_dempster_adds() -> float:
    """Evidence after intersection minus the sum of evidence, for two to four sources."""
    error = 0.0
    for sources in (2, 3, 4):
        amounts = [WEIGHT * (r - 1) for r in RATIOS[:sources]]
        joint, _ = fuse([mass_of((e, Fraction(0)), WEIGHT) for e in amounts]) or ({}, 0)
        added = WEIGHT * joint[RELIABLE] / joint[WHOLE] - sum(amounts)
        error = max(error, abs(float(chapter().cross_terms(amounts, WEIGHT) - added)))
    return error


@check("4.23", how=How.RATIONAL)
def what_dempster_adds_in_the_sign_frame() -> float:
    """Total evidence after intersection minus its sum, for agreeing, opposed and undecided sources."""
    error = 0.0
    e1, e2, agreeing, opposed, undecided = Fraction(7), Fraction(11, 3), (8, 4), (8, 2), (5, 7)
    for tenths in (agreeing, opposed, undecided):
        p1, p2 = (Fraction(n, 10) for n in tenths)
        joint, _ = fuse([mass_of((e * p, e * (1 - p)), WEIGHT) for e, p in ((e1, p1), (e2, p2))]) or ({}, 0)
        added = WEIGHT * (1 - joint[WHOLE]) / joint[WHOLE] - e1 - e2
        error = max(error, abs(float(chapter().sign_cross_term(e1, p1, e2, p2, WEIGHT) - added)))
    return error


@check("4.24", how=How.RATIONAL)
def cumulative_fusion_adds_evidence() -> float:
    """The opinion of the sum of e / W = b / u."""
    b1, u1, b2, u2 = generic()
    b, u = chapter().cumulative(b1, u1, b2, u2)
    return largest([*b, u], opinion_of([x / u1 + y / u2 for x, y in zip(b1, b2, strict=True)]))


@check("4.24", how=How.NUMERICAL, tolerance=1e-15, code="bogc.combination.cumulative.combine")
def code_adds_evidence() -> float:
    """The same in bogc, of opinions and, as training runs it, of evidence."""
    b1, u1, b2, u2 = generic()
    code = cumulative.combine([bogc_opinion(b1, u1), bogc_opinion(b2, u2)])
    exact = opinion_of([x / u1 + y / u2 for x, y in zip(b1, b2, strict=True)])
    amounts = [[float(x / u * WEIGHT) for x in b] for b, u in ((b1, u1), (b2, u2))]
    counted = cumulative.RULE.fuse(
        Evidence(torch.tensor(amounts, dtype=torch.float64), float(WEIGHT))
    ).values / float(WEIGHT)
    sums = [x / u1 + y / u2 for x, y in zip(b1, b2, strict=True)]
    return max(
        largest([*code.belief.tolist(), float(code.uncertainty)], exact), largest(counted.tolist(), sums)
    )


def opinion_of(ratios: list[Fraction]) -> list[Fraction]:
    """Beliefs and uncertainty of evidence over W."""
    return [r / (1 + sum(ratios)) for r in [*ratios, Fraction(1)]]


@check("4.25", how=How.RATIONAL)
def averaging_fusion_averages_evidence() -> float:
    """The opinion of the mean of b1 / u1 and b2 / u2; an opinion averaged with itself is itself."""
    b1, u1, b2, u2 = generic()
    b, u = chapter().averaging(b1, u1, b2, u2)
    same, rest = chapter().averaging(b1, u1, b1, u1)
    exact = opinion_of([(x / u1 + y / u2) / 2 for x, y in zip(b1, b2, strict=True)])
    return max(largest([*b, u], exact), largest([*same, rest], [*b1, u1]))


@check("4.26", how=How.RATIONAL)
def repetition_counts_again() -> float:
    """A source with evidence (7, 11/3) intersected with itself once and twice: it grows each time."""
    amounts, error = (Fraction(7), Fraction(11, 3)), 0.0
    for times in (2, 3):
        joint, _ = fuse([mass_of(amounts, WEIGHT)] * times) or ({}, 0)
        fused = [WEIGHT * joint[frozenset([k])] / joint[WHOLE] for k in range(2)]
        found = [chapter().repeated(e, WEIGHT, times) for e in amounts]
        grown = all(f > e for f, e in zip(fused, amounts, strict=True))
        error = max(error, largest(found, fused), float(not grown))
    return error


@check("4.27", how=How.RATIONAL)
def zadeh_by_intersection() -> float:
    """Shares .01, .2 and .3, doubts from the classical 0 to .3; there C = .9999 and all belief in one."""
    error = 0.0
    for share in (Fraction(1, 100), Fraction(1, 5), Fraction(3, 10)):
        for doubt in (Fraction(0), Fraction(1, 10000), Fraction(1, 100), Fraction(3, 10)):
            joint, lost = experts(share, doubt)
            exact = [joint.get(frozenset(subset), 0) for subset in ([0], [1], range(3))]
            error = max(error, largest(chapter().zadeh(share, doubt), exact))
            classical = share == Fraction(1, 100) and doubt == 0
            error = max(error, float(classical and (lost != Fraction(9999, 10000) or exact != [0, 1, 0])))
    return error


@check("4.28", how=How.RATIONAL)
def doubt_that_is_enough() -> float:
    """At this doubt the beliefs are equal; below it the unlikely hypothesis wins, above it loses."""
    error = 0.0
    for share in (Fraction(1, 100), Fraction(1, 5), Fraction(3, 10)):
        enough = chapter().enough_doubt(share)
        gaps = []
        for doubt in (enough, enough * Fraction(99, 100), enough * Fraction(101, 100)):
            joint, _ = experts(share, doubt)
            gaps.append(joint.get(frozenset([1]), Fraction(0)) - joint.get(frozenset([0]), Fraction(0)))
        error = max(error, abs(float(gaps[0])), float(gaps[1] <= 0), float(gaps[2] >= 0))
    return error


def experts(share: Fraction, doubt: Fraction) -> tuple[dict[frozenset[int], Fraction], Fraction]:
    """Zadeh's two experts, each sure of its own hypothesis but for ``share``, discounted by ``doubt``."""
    own, common = (1 - share) * (1 - doubt), share * (1 - doubt)
    found = fuse([mass_of((own, common, 0), doubt), mass_of((0, common, own), doubt)])
    assert found is not None
    return found
