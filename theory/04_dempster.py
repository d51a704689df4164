"""Formulas of chapter 4: Dempster-Shafer combination. Their checks are in the modules imported below."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import log, prod
from typing import Any

from theory.registry import formula
from theory.support import (
    cautious_checks,
    dempster_checks,
    evidence_checks,
    fusion_checks,
    rounding_checks,
)
from theory.support.exact import checks_in, zipped
from theory.support.powerset import subsets

for _module in (dempster_checks, evidence_checks, fusion_checks, rounding_checks, cautious_checks):
    globals().update(checks_in(_module))


@formula("4.1")
def conflict(first: Sequence[Any], second: Sequence[Any]) -> Any:
    """Mass of pairs of disjoint subsets; bits of the index are the members of a subset."""
    pairs = product(enumerate(first), enumerate(second))
    return sum(x * y for (b, x), (c, y) in pairs if not b & c)


@formula("4.2")
def dempster(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """Masses fused by Dempster's rule."""
    joint = [x - x for x in first]
    rest = 1 - conflict(first, second)
    for (b, x), (c, y) in product(enumerate(first), enumerate(second)):
        if b & c:
            joint[b & c] = joint[b & c] + x * y / rest
    return joint


@formula("4.3")
def commonality(mass: Sequence[Any]) -> list[Any]:
    """Zeta transform over supersets."""
    return [sum(m for b, m in enumerate(mass) if a & b == a) for a in range(len(mass))]


@formula("4.4")
def moebius(commonalities: Sequence[Any]) -> list[Any]:
    """Inverse of the zeta transform."""
    indexed = list(enumerate(commonalities))
    return [sum((-1) ** (b ^ a).bit_count() * q for b, q in indexed if a & b == a) for a, _ in indexed]


@formula("4.5")
def fused_commonality(first: Sequence[Any], second: Sequence[Any], c: Any) -> list[Any]:
    """Commonality of the fused masses on non-empty subsets."""
    return [x * y / (1 - c) for x, y in zipped(first, second)]


@formula("4.6")
def belief(mass: Sequence[Any], a: int) -> Any:
    """Mass of the non-empty subsets of a."""
    return sum(m for b, m in enumerate(mass) if b and b & a == b)


@formula("4.7")
def plausibility(mass: Sequence[Any], a: int) -> Any:
    """What is not believed of the complement."""
    return 1 - belief(mass, len(mass) - 1 - a)


@formula("4.8")
def pignistic(mass: Sequence[Any], k: int) -> Any:
    """Each subset shared out equally among its members."""
    return sum(m / b.bit_count() for b, m in enumerate(mass) if b >> k & 1)


@formula("4.9")
def reduced(beliefs: Sequence[Sequence[Any]], uncertainties: Sequence[Any]) -> tuple[list[Any], Any]:
    """Dempster's rule on any number of opinions at once."""
    vacuous = prod(uncertainties)
    joint = [prod(b + u for b, u in zipped(column, uncertainties)) - vacuous for column in zipped(*beliefs)]
    return [x / (sum(joint) + vacuous) for x in joint], vacuous / (sum(joint) + vacuous)


@formula("4.10")
def positive(b1: Sequence[Any], u1: Any, b2: Sequence[Any], u2: Any) -> tuple[list[Any], Any]:
    """Two opinions, with positive terms only."""
    joint = [x * y + x * u2 + u1 * y for x, y in zipped(b1, b2)]
    total = sum(joint) + u1 * u2
    return [x / total for x in joint], u1 * u2 / total


@formula("4.11")
def opinion_conflict(b1: Sequence[Any], b2: Sequence[Any]) -> Any:
    """Belief in different hypotheses."""
    return sum(b1) * sum(b2) - sum(x * y for x, y in zipped(b1, b2))


@formula("4.12")
def remaining(b1: Sequence[Any], u1: Any, b2: Sequence[Any], u2: Any) -> Any:
    """Z as u2 plus terms that cannot be negative."""
    return u2 + u1 * (1 - u2) + sum(x * y for x, y in zipped(b1, b2))


@formula("4.13")
def possible(beliefs: Sequence[Sequence[Any]], uncertainties: Sequence[Any]) -> Any:
    """Z from products of plausibilities."""
    products = [prod(b + u for b, u in zipped(column, uncertainties)) for column in zipped(*beliefs)]
    return sum(products) - (len(products) - 1) * prod(uncertainties)


@formula("4.14")
def product_form(amounts: Sequence[Any], weight: Any) -> Any:
    """Fused evidence for a hypothesis from the sources' evidence for it."""
    return weight * (prod(1 + e / weight for e in amounts) - 1)


@formula("4.15")
def join(first: Any, second: Any, weight: Any) -> Any:
    """Fused evidence of two sources, with positive terms only."""
    return first + second + first * second / weight


@formula("4.16")
def log_ratio(amounts: Sequence[float], weight: float) -> float:
    """Log of one plus fused evidence over W."""
    return sum(log(1 + e / weight) for e in amounts)


@formula("4.17")
def fused_uncertainty(evidences: Sequence[Sequence[Any]], weight: Any) -> Any:
    """U of the fused opinion from the evidence of the sources."""
    return 1 / (1 + sum(prod(1 + e / weight for e in column) - 1 for column in zipped(*evidences)))


@formula("4.18")
def consensus(fused_strength: Any, strengths: Sequence[Any], weight: Any) -> Any:
    """1 - C from the Dirichlet strengths."""
    return fused_strength / weight * prod(weight / s for s in strengths)


@formula("4.19")
def worked(case: int) -> tuple[Any, ...]:
    """Conflict and fused evidence of the four worked cases."""
    f = Fraction
    return (
        (f(14, 27), f(335, 3), f(23, 3), f(23, 3)),
        (f(187, 225), f(163, 3), f(163, 3), f(7, 3)),
        (f(25, 36), f(10), f(10)),
        (f(2, 9), f(8), f(4)),
    )[case]


@formula("4.20")
def precision_product(ratios: Sequence[Any]) -> Any:
    """Dempster's precision over the prior's, evidence on one hypothesis."""
    return prod(ratios)


@formula("4.21")
def precision_sum(ratios: Sequence[Any]) -> Any:
    """Bayesian precision over the prior's."""
    return 1 + sum(r - 1 for r in ratios)


@formula("4.22")
def cross_terms(amounts: Sequence[Any], weight: Any) -> Any:
    """What Dempster's rule adds to the sum of evidence."""
    groups = [[amounts[m] for m in group] for group in subsets(len(amounts))]
    return weight * sum(prod(e / weight for e in group) for group in groups if len(group) > 1)


@formula("4.23")
def sign_cross_term(e1: Any, p1: Any, e2: Any, p2: Any, weight: Any) -> Any:
    """The cross term when evidence is split by sign."""
    return e1 * e2 * (p1 * p2 + (1 - p1) * (1 - p2)) / weight


@formula("4.24")
def cumulative(b1: Sequence[Any], u1: Any, b2: Sequence[Any], u2: Any) -> tuple[list[Any], Any]:
    """Cumulative fusion: the positive form without b1 b2."""
    total = u1 + u2 - u1 * u2
    return [(x * u2 + u1 * y) / total for x, y in zipped(b1, b2)], u1 * u2 / total


@formula("4.25")
def averaging(b1: Sequence[Any], u1: Any, b2: Sequence[Any], u2: Any) -> tuple[list[Any], Any]:
    """Averaging fusion."""
    return [(x * u2 + u1 * y) / (u1 + u2) for x, y in zipped(b1, b2)], 2 * u1 * u2 / (u1 + u2)


@formula("4.26")
def repeated(amount: Any, weight: Any, times: int) -> Any:
    """Evidence after combining a source with itself."""
    return weight * ((1 + amount / weight) ** times - 1)


@formula("4.27")
def zadeh(share: Any, doubt: Any) -> tuple[Any, Any, Any]:
    """Fused belief in either contested hypothesis, in the one both hold unlikely, and u."""
    contested = (1 - share) * (1 - doubt) * doubt
    unlikely = share * (1 - doubt) * (share * (1 - doubt) + 2 * doubt)
    total = 2 * contested + unlikely + doubt * doubt
    return contested / total, unlikely / total, doubt * doubt / total


@formula("4.28")
def enough_doubt(share: Any) -> Any:
    """Uncertainty at which the unlikely hypothesis stops winning."""
    return share**2 / (1 - 3 * share + share**2)


@formula("4.29")
def gamma(roundings: Any, eps: Any) -> Any:
    """Bound on the relative error of a chain of roundings."""
    return roundings * eps / (1 - roundings * eps)


@formula("4.30")
def evidence_roundings(sources: int) -> int:
    """Roundings behind each fused evidence."""
    return 3 * (sources - 1)


@formula("4.31")
def opinion_roundings(sources: int, hypotheses: int) -> int:
    """Roundings behind each fused belief."""
    return 8 * (sources - 1) + hypotheses - 1


@formula("4.32")
def condition(conflict: Any) -> Any:
    """By how much 1 - C magnifies a relative error of C."""
    return conflict / (1 - conflict)


@formula("4.33")
def opposed(evidence: Any, weight: Any) -> Any:
    """1 - C of two sources with all their evidence on different hypotheses."""
    return weight * (weight + 2 * evidence) / (weight + evidence) ** 2


@formula("4.34")
def remainder_error(error: Any, uncertainty: Any) -> Any:
    """Relative error of 1 - sum b when every b is too large by the factor 1 + error."""
    return -error * (1 - uncertainty) / uncertainty


@formula("4.35")
def subtraction_error(evidence: Any, weight: Any, eps: Any) -> Any:
    """Relative error of that u for the two opposed sources, when C is off by eps."""
    return 2 * eps * evidence**3 / (weight**2 * (weight + 2 * evidence))


@formula("4.36")
def lost_below(weight: Any, eps: Any) -> Any:
    """Evidence that 1 + e / W no longer sees."""
    return weight * eps


@formula("4.37")
def canonical_weights(belief: Sequence[Any], uncertainty: Any) -> list[Any]:
    """Weights of the non-empty subsets but the frame, in index order."""
    sets = [[k for k in range(len(belief)) if a >> k & 1] for a in range(2 ** len(belief))]
    return [uncertainty / (belief[s[0]] + uncertainty) if len(s) == 1 else 1 for s in sets[1:-1]]


@formula("4.38")
def cautious(beliefs: Sequence[Sequence[Any]], uncertainties: Sequence[Any]) -> tuple[list[Any], Any]:
    """Opinion of the largest evidence for each hypothesis."""
    largest = [max(b / u for b, u in zipped(column, uncertainties)) for column in zipped(*beliefs)]
    uncertainty = 1 / (1 + sum(largest))
    return [uncertainty * ratio for ratio in largest], uncertainty
