"""Checks of chapter 3: evidence, Dirichlet, opinion."""

from collections.abc import Sequence
from fractions import Fraction
from math import erf, log, sqrt
from typing import Any

import numpy as np
import sympy
from scipy.integrate import quad
from scipy.special import digamma, gammaln

from bogc.belief import Opinion
from bogc.belief.measures import dirichlet_entropy
from theory.registry import How, check, formula
from theory.support import opinion_checks
from theory.support.exact import checks_in, differ, largest, symbols, zipped
from theory.support.opinion_checks import COUNTS, OTHER_RATES, POINTS, RATES, WEIGHT, belief_of
from theory.support.simplex import kernel, moment, posterior_mean, triangle_integral

globals().update(checks_in(opinion_checks))


def exact_mean(rates: Sequence[Fraction]) -> list[Fraction]:
    """Posterior mean of the shares given COUNTS, by exact integration."""
    return posterior_mean(COUNTS, [int(WEIGHT * a) for a in rates])


@formula("3.1")
def concentration(evidence: Sequence[Any], weight: Any, rates: Sequence[Any]) -> list[Any]:
    """Alpha."""
    return [e + weight * a for e, a in zipped(evidence, rates)]


@check("3.1", how=How.RATIONAL)
def concentration_is_the_posterior() -> float:
    """Prior kernel times multinomial likelihood is proportional to the kernel of Dirichlet(alpha)."""
    alpha = concentration(COUNTS, WEIGHT, RATES)
    prior = [WEIGHT * a for a in RATES]
    product = [kernel(prior, p) * kernel([e + 1 for e in COUNTS], p) for p in POINTS]
    return float(abs(kernel(alpha, POINTS[0]) * product[1] - kernel(alpha, POINTS[1]) * product[0]))


@formula("3.2")
def opinion(evidence: Sequence[Any], weight: Any) -> tuple[list[Any], Any]:
    """Beliefs and uncertainty."""
    strength = weight + sum(evidence)
    return [e / strength for e in evidence], weight / strength


@check("3.2", "3.5", how=How.RATIONAL)
def opinion_is_intercept_and_slope_of_the_mean() -> float:
    """The exact posterior mean, integrated for two base rates, is b + a u for both."""
    belief, uncertainty = opinion([Fraction(e) for e in COUNTS], Fraction(WEIGHT))
    pairs = [(projected(belief, uncertainty, a), exact_mean(a)) for a in (RATES, OTHER_RATES)]
    return max(largest(left, right) for left, right in pairs)


@check("3.1", "3.2", "3.5", how=How.NUMERICAL, tolerance=1e-14, code="bogc.belief.Opinion.from_dirichlet")
def code_has_the_exact_opinion() -> float:
    """The opinion in bogc against intercept and slope of exact posterior means, and its mean."""
    belief = belief_of(COUNTS, WEIGHT, RATES)
    mean, other = exact_mean(RATES), exact_mean(OTHER_RATES)
    slope = (mean[0] - other[0]) / (RATES[0] - OTHER_RATES[0])
    found = Opinion.from_dirichlet(belief)
    intercept = [m - a * slope for m, a in zipped(mean, RATES)]
    values = [*found.belief.tolist(), float(found.uncertainty), *found.projected_probability.tolist()]
    return largest([*values, *belief.mean.tolist()], [*intercept, slope, *mean, *mean])


@formula("3.3")
def total_mass(belief: Sequence[Any], uncertainty: Any) -> Any:
    """Belief and uncertainty together."""
    return sum(belief) + uncertainty


@check("3.3", how=How.NUMERICAL, tolerance=1e-15, code="bogc.belief.Opinion.from_dirichlet")
def masses_sum_to_one() -> float:
    """Opinions that bogc makes of evidence from 1e-6 to 1e6, under two prior weights."""
    opinions = [
        Opinion.from_dirichlet(belief_of([1e-6, 0.7, scale], weight, RATES))
        for scale in (0.0, 1.0, 1e6)
        for weight in (WEIGHT, 2.5)
    ]
    return max(abs(total_mass(o.belief.tolist(), float(o.uncertainty)) - 1) for o in opinions)


@formula("3.4")
def evidence_of(belief: Sequence[Any], uncertainty: Any, weight: Any) -> list[Any]:
    """The evidence behind an opinion."""
    return [weight * b / uncertainty for b in belief]


@check("3.2", "3.4", how=How.SYMBOLIC)
def opinion_and_evidence_are_inverse() -> float:
    """Both round trips on general symbols, with u = 1 - sum b on the way from an opinion."""
    e, b, w = symbols("e"), symbols("b"), sympy.Symbol("W", positive=True)
    u = 1 - sum(b)
    back, rest = opinion(evidence_of(b, u, w), w)
    return max(differ(evidence_of(*opinion(e, w), w), e), differ([*back, rest], [*b, u]))


@check("3.4", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.Opinion.to_dirichlet")
def code_inverts_the_opinion() -> float:
    """The concentration of the opinion of known evidence, under two prior weights."""
    error = 0.0
    for weight in (WEIGHT, 2.5):
        dirichlet = Opinion.from_dirichlet(belief_of(COUNTS, weight, RATES)).to_dirichlet(weight)
        b, u = opinion(COUNTS, weight)
        alpha = [e + weight * float(a) for e, a in zipped(COUNTS, RATES)]
        error = max(error, largest(dirichlet.concentration.tolist(), alpha))
        error = max(error, largest(dirichlet.to_evidence().values.tolist(), evidence_of(b, u, weight)))
    return error


@formula("3.5")
def projected(belief: Sequence[Any], uncertainty: Any, rates: Sequence[Any]) -> list[Any]:
    """Projected probabilities."""
    return [b + a * uncertainty for b, a in zipped(belief, rates)]


@formula("3.6")
def covariance(mean: Sequence[Any], strength: Any, k: int, j: int) -> Any:
    """Covariance of two shares of a Dirichlet."""
    return mean[k] * (int(k == j) - mean[j]) / (strength + 1)


@check("3.6", how=How.RATIONAL)
def covariance_by_integration() -> float:
    """All nine covariances of Dirichlet(5, 11, 8) from exact integrals over the simplex."""
    alpha, unit = (5, 11, 8), np.eye(3, dtype=int).tolist()
    mean = [moment(alpha, row) for row in unit]
    error = 0.0
    for k in range(3):
        for j in range(3):
            second = moment(alpha, [x + y for x, y in zipped(unit[k], unit[j])])
            error = max(error, abs(float(second - mean[k] * mean[j] - covariance(mean, sum(alpha), k, j))))
    return error


@formula("3.7")
def variance_from_opinion(probability: Any, uncertainty: Any, weight: Any) -> Any:
    """Variance of one share."""
    return probability * (1 - probability) * uncertainty / (weight + uncertainty)


@check("3.7", how=How.NUMERICAL, tolerance=1e-15, code="bogc.belief.DirichletBelief.to_pyro")
def variance_through_uncertainty() -> float:
    """Exact integrals against the formula and against the distribution that bogc hands to Pyro."""
    alpha = (5, 11, 8)
    b, u = opinion([Fraction(e) for e in COUNTS], Fraction(WEIGHT))
    formulas = [variance_from_opinion(p, u, WEIGHT) for p in projected(b, u, RATES)]
    unit = np.eye(3, dtype=int)
    exact = [moment(alpha, (2 * row).tolist()) - moment(alpha, row.tolist()) ** 2 for row in unit]
    code = belief_of(COUNTS, WEIGHT, RATES).to_pyro().variance.tolist()
    return max(largest(formulas, exact), largest(code, exact))


@formula("3.8")
def entropy(alpha: Sequence[float]) -> float:
    """Differential entropy of a Dirichlet, in nats."""
    strength = sum(alpha)
    total = (strength - len(alpha)) * digamma(strength) - gammaln(strength)
    for a in alpha:
        total = total + gammaln(a) - (a - 1) * digamma(a)
    return float(total)


@check("3.8", how=How.NUMERICAL, tolerance=1e-8)
def entropy_by_integration() -> float:
    """Two-dimensional quadrature of -f log f for Dirichlet(3.5, 4.7, 5.2)."""
    alpha = (3.5, 4.7, 5.2)

    def unnormalised(*p: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(sum((a - 1) * np.log(x) for a, x in zipped(alpha, p))))

    scale = triangle_integral(unnormalised)
    exact = triangle_integral(lambda *p: -(f := unnormalised(*p) / scale) * np.log(f))
    return float(abs(exact - entropy(alpha)))


@check("3.8", how=How.NUMERICAL, tolerance=1e-9, code="bogc.belief.measures.dirichlet_entropy")
def code_has_the_entropy() -> float:
    """The entropy in bogc of Beta(4.5, 2.3) against one-dimensional quadrature of -f log f."""
    first, second = 4.5, 2.3

    def unnormalised(p: float) -> float:
        return float(p ** (first - 1) * (1 - p) ** (second - 1))

    scale = quad(unnormalised, 0, 1)[0]
    exact = quad(lambda p: -(f := unnormalised(p) / scale) * log(f), 0, 1)[0]
    found = dirichlet_entropy(belief_of((3.5, 1.3), 2.0, [Fraction(1, 2)] * 2))
    return float(max(abs(float(found) - exact), abs(entropy((first, second)) - exact)))


@check("3.8", how=How.PROPERTY, code="bogc.belief.measures.dirichlet_entropy")
def entropy_may_rise_with_evidence() -> float:
    """Counterexample: W = 1 and uniform base rates, evidence (0, 0) and (.2, .2), by formula and in bogc."""
    found = [dirichlet_entropy(belief_of((e, e), 1.0, [Fraction(1, 2)] * 2)) for e in (0.0, 0.2)]
    return float(not (found[0] < found[1] and entropy((0.5, 0.5)) < entropy((0.7, 0.7))))


@formula("3.9")
def reweighted(belief: Sequence[Any], uncertainty: Any, old: Any, new: Any) -> tuple[list[Any], Any]:
    """The opinion of the same evidence under another prior weight."""
    total = new * uncertainty + old * (1 - uncertainty)
    return [old * b / total for b in belief], new * uncertainty / total


@check("3.9", how=How.SYMBOLIC)
def another_prior_weight() -> float:
    """The opinion of e under V against the opinion of e under W, reweighted, on general symbols."""
    e, (w, v) = symbols("e"), sympy.symbols("W V", positive=True)
    (changed, rest), (wanted, left) = reweighted(*opinion(e, w), w, v), opinion(e, v)
    return differ([*changed, rest], [*wanted, left])


@formula("3.10")
def opinion_of_ratios(ratios: Sequence[Any]) -> tuple[list[Any], Any]:
    """The opinion as a function of e / W alone."""
    return [r / (1 + sum(ratios)) for r in ratios], 1 / (1 + sum(ratios))


@check("3.10", how=How.SYMBOLIC)
def only_ratios_matter() -> float:
    """The opinion of (c e, c W) does not contain c."""
    e, (w, c) = symbols("e"), sympy.symbols("W c", positive=True)
    (b, u), (left, right) = opinion([c * x for x in e], c * w), opinion_of_ratios([x / w for x in e])
    return differ([*b, u], [*left, right])


@formula("3.11")
def shift(uncertainty: Any, old_rate: Any, new_rate: Any) -> Any:
    """What another base rate adds to a projected probability."""
    return (new_rate - old_rate) * uncertainty


@check("3.11", how=How.RATIONAL)
def another_base_rate() -> float:
    """Difference of two exact posterior means with the same evidence."""
    uncertainty = Fraction(WEIGHT, WEIGHT + sum(COUNTS))
    moved = [new - old for new, old in zipped(exact_mean(OTHER_RATES), exact_mean(RATES))]
    return largest([shift(uncertainty, old, new) for old, new in zipped(RATES, OTHER_RATES)], moved)


@formula("3.12")
def product_of(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """Concentration of the normalised product of two Dirichlet densities."""
    return [a + b - 1 for a, b in zipped(first, second)]


@formula("3.13")
def log_normaliser(first: Sequence[float], second: Sequence[float]) -> float:
    """Log integral of the product of two Dirichlet densities."""
    return log_beta(product_of(first, second)) - log_beta(first) - log_beta(second)


def log_beta(alpha: Sequence[float]) -> float:
    """Log of the multivariate Beta function."""
    return float(sum(gammaln(a) for a in alpha) - gammaln(sum(alpha)))


@formula("3.14")
def factor(evidence: Sequence[Any]) -> list[Any]:
    """Concentration of the Dirichlet by which evidence multiplies a density."""
    return [1 + e for e in evidence]


@formula("3.15")
def marginal(alpha: Sequence[Any], k: int) -> tuple[Any, Any]:
    """Parameters of the Beta distribution of one share."""
    return alpha[k], sum(alpha) - alpha[k]


@formula("3.16")
def sign_evidence(amount: float, loc: float, variance: float) -> tuple[float, float]:
    """Evidence for a positive and for a negative gradient."""
    positive = amount * (1 + erf(loc / sqrt(2 * variance))) / 2
    return positive, amount - positive


@formula("3.17")
def sign_probability(uncertainty: Any, positive: Any) -> Any:
    """Projected probability that the gradient is positive."""
    return Fraction(1, 2) + (1 - uncertainty) * (positive - Fraction(1, 2))
