"""Checks of chapter 4, last part: rounding errors of the positive form and of division by 1 - C.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them.
"""

from fractions import Fraction

import numpy as np
import sympy
import torch

from bogc.belief import Evidence, Opinion
from bogc.combination import reduced
from theory.registry import How, check
from theory.support.dempster_checks import chapter
from theory.support.exact import differ
from theory.support.powerset import fuse, intersect, mass_of
from theory.support.rounding import EPS, Rounded, around, exact_product, readings

RANGE = 10.0 ** np.arange(-6, 13)


@check("4.29", how=How.RATIONAL)
def chains_of_roundings() -> float:
    """Worst chain, (1 - eps)**-n - 1, against the bound, which is Bernoulli's and which n = 1 attains."""
    error = 0.0
    for count, eps in (
        (1, Fraction(1, 5)),
        (3, Fraction(1, 2**24)),
        (17, Fraction(1, 2**11)),
        (90, Fraction(1, 2**9)),
    ):
        worst, bound = (1 - eps) ** -count - 1, chapter().gamma(count, eps)
        error = max(error, float(abs((1 - count * eps) * (1 + bound) - 1)))
        error = max(error, float(worst > bound or (worst == bound) != (count == 1)))
    return error


@check("4.30", how=How.EXHAUSTIVE)
def roundings_of_evidence() -> float:
    """Count them through E + e + E e / W for two to six sources, evidence and W exact."""
    error, fused = 0, Rounded()
    for sources in range(2, 7):
        fused = chapter().join(fused, Rounded(), Rounded())
        error = max(error, abs(fused.count - chapter().evidence_roundings(sources)))
    return error


@check("4.31", how=How.EXHAUSTIVE)
def roundings_of_opinions() -> float:
    """Count them for two to six sources on K = 2 to 5; the common factor 1 / Z counts in the last step."""
    error, exact = 0, Rounded()
    for size in range(2, 6):
        belief, uncertainty = exact, exact
        for sources in range(2, 7):
            joint, vacuous = belief * exact + belief * exact + uncertainty * exact, uncertainty * exact
            total = joint
            for _ in range(size - 1):
                total = total + joint
            found = (joint / (total + vacuous)).count
            error = max(error, abs(found - chapter().opinion_roundings(sources, size)))
            belief, uncertainty = joint / exact, vacuous / exact
    return error


@check("4.29", "4.30", how=How.PROPERTY, code="bogc.combination.reduced.combine_evidence")
def code_keeps_evidence() -> float:
    """Two and three sources in float32, evidence from 1e-6 to 1e12, W = 3: error over bound, if above 1."""
    rng, worst = np.random.default_rng(4), 0.0
    for sources in (2, 3):
        amounts = torch.tensor(10.0 ** rng.uniform(-6, 12, (50, sources)), dtype=torch.float32)
        found = reduced.combine_evidence([Evidence(v.unsqueeze(-1).repeat(1, 2), 3.0) for v in amounts.T])
        bound = chapter().gamma(chapter().evidence_roundings(sources), EPS)
        for value, row in zip(found.values[:, 0].tolist(), amounts.tolist(), strict=True):
            worst = max(worst, abs(float(Fraction(value) / exact_product(row, Fraction(3)) - 1)) / bound)
    return max(0.0, worst - 1)


@check("4.29", "4.31", how=How.PROPERTY, code="bogc.combination.reduced.RULE")
def code_keeps_opinions() -> float:
    """Three opposed sources in float32, u down to 1e-20, against exact fusion of the same floats."""
    rng, worst = np.random.default_rng(5), 0.0
    bound = chapter().gamma(chapter().opinion_roundings(3, 3), EPS)
    for _ in range(20):
        doubts = 10.0 ** rng.uniform(-20, -1, 3)
        beliefs = np.eye(3) * (1 - doubts)[:, None] + rng.uniform(0, 1e-9, (3, 3))
        sources = list(zip(torch.tensor(beliefs).float(), torch.tensor(doubts).float(), strict=True))
        fused = reduced.RULE.fold(
            [Opinion.unchecked(belief=b, uncertainty=u, base_rate=b) for b, u in sources]
        )
        exact, _ = fuse([mass_of(fractions(b), *fractions(u)) for b, u in sources]) or ({}, 0)
        found = mass_of(fused.belief.tolist(), fused.uncertainty.item())
        worst = max(worst, *(abs(float(Fraction(found[s]) / x - 1)) / bound for s, x in exact.items()))
    return max(0.0, worst - 1)


def fractions(values: torch.Tensor) -> list[Fraction]:
    """Exact values of floats."""
    return [Fraction(x) for x in values.reshape(-1).tolist()]


@check("4.32", how=How.SYMBOLIC)
def condition_numbers() -> float:
    """Logarithmic derivative of 1 - C along one source's beliefs; that of Z along all its masses is 1."""
    b1, b2 = sympy.symbols("x1:4", positive=True), sympy.symbols("y1:4", positive=True)
    u1, u2 = sympy.symbols("u1 u2", positive=True)
    joint = intersect([mass_of(b1, u1), mass_of(b2, u2)])
    lost = joint.pop(frozenset())
    total = sum(joint.values())
    steep = -sum(b * sympy.diff(1 - lost, b) for b in b1) / (1 - lost)
    flat = sum(x * sympy.diff(total, x) for x in (*b1, u1)) / total
    return differ([chapter().condition(lost), 1], [steep, flat])


@check("4.33", how=How.RATIONAL)
def opposed_sources() -> float:
    """1 - C of (t, 0) and (0, t) by intersection."""
    error = 0.0
    for t, w in ((Fraction(7), Fraction(5, 3)), (Fraction(10000), Fraction(3))):
        _, lost = fuse([mass_of((t, 0), w), mass_of((0, t), w)]) or ({}, Fraction(1))
        error = max(error, abs(float(chapter().opposed(t, w) - (1 - lost))))
    return error


@check("4.34", how=How.RATIONAL)
def remainders() -> float:
    """Masses of two opposed sources by intersection, each belief too large by the same factor."""
    joint, _ = fuse([mass_of((9, 2), 5), mass_of((1, 7), 5)]) or ({}, Fraction(1))
    error, u = Fraction(2, 101), joint.pop(frozenset([0, 1]))
    left = 1 - sum(b * (1 + error) for b in joint.values())
    return abs(float(left / u - 1 - chapter().remainder_error(error, u)))


@check("4.35", how=How.RATIONAL)
def subtraction_twice() -> float:
    """Exact magnifications C / (1 - C) and (1 - u) / u of opposed sources, by intersection, multiplied."""
    t, w, eps = Fraction(71), Fraction(5, 3), Fraction(1, 97)
    joint, lost = fuse([mass_of((t, 0), w), mass_of((0, t), w)]) or ({}, Fraction(1))
    u = joint[frozenset([0, 1])]
    return abs(float(eps * lost / (1 - lost) * (1 - u) / u - chapter().subtraction_error(t, w, eps)))


@check("4.32", "4.33", "4.35", how=How.PROPERTY)
def three_forms_in_float32() -> float:
    """Opposed sources, W = 2 and 3: measured errors within the bounds stated in the text, in float32."""
    fails = []
    for weight in (2.0, 3.0):
        for t in (1e3, 1e4, 1e5, 1e6, 1e7):
            found = readings(around(t), weight)
            single = EPS * chapter().condition(1 - chapter().opposed(t, weight))
            double = chapter().subtraction_error(t, weight, EPS)
            fails.append(not 0.2 <= found.complement.max() / single <= 5)
            fails.append(not 0.2 <= found.remainder.max() / double <= 5)
    return float(any(fails))


@check("4.29", "4.35", how=How.PROPERTY)
def what_is_left_at_conflict() -> float:
    """The numbers of the text: 3e-7 for the positive form at any t; the others at 1e4, 1e6 and beyond."""
    positive = max(readings(around(t), 2.0).positive.max() for t in RANGE)
    low, high, beyond = (readings(around(t), 2.0) for t in (1e4, 1e6, 1e12))
    holds = [
        positive < 3e-7 and positive < chapter().gamma(14, EPS) < 1e-6,
        readings(around(1e7), 2.0).ratio.max() < 1e-6,
        np.isfinite(readings(around(3e7), 2.0).complement).all(),
        not np.isfinite(readings(around(8e7), 2.0).complement).any(),
        1e-4 < low.complement.max() < 1e-3 and 5e-3 < high.complement.max() < 5e-2,
        np.median(low.remainder) > 0.3 and np.median(high.remainder) > 3e3,
        not np.isfinite(beyond.complement).any() and not np.isfinite(beyond.remainder).any(),
    ]
    return float(not all(holds))


@check("4.36", how=How.NUMERICAL)
def small_evidence_is_lost() -> float:
    """In float32, W (1 + e / W - 1) is 0 just below the threshold and not just above; bogc keeps both."""
    error = 0.0
    for weight in (2.0, 3.0):
        below, above = (np.float32(chapter().lost_below(weight, EPS) * f) for f in (0.99, 1.01))
        one, w = np.float32(1), np.float32(weight)
        error = max(error, float(w * (one + below / w - one)), float(w * (one + above / w - one) == 0))
        for e in (below, above):
            kept = [Evidence(torch.full((2,), float(e), dtype=torch.float32), weight)] * 2
            found = reduced.combine_evidence(kept).values[0].item()
            error = max(error, float(abs(found / (2 * float(e)) - 1) > 1e-6))
    return error
