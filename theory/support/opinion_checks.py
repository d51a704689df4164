"""Checks of chapter 3 against Pyro and the sign frame, and what the chapter's other checks share.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import exp, log, pi, sqrt
from types import ModuleType

import numpy as np
import pyro.distributions as dist
import torch
from scipy.integrate import quad

from bogc.belief import DirichletBelief, Evidence, Opinion, PseudoCount, SignFrame
from bogc.posterior import GradientPosterior, GradientPrior
from theory.chapters import FOLDER, load
from theory.registry import How, check
from theory.support.exact import largest, zipped
from theory.support.simplex import moment, simplex_integral

COUNTS, WEIGHT = (3, 7, 5), 9  # evidence and prior weight
RATES = (Fraction(2, 9), Fraction(4, 9), Fraction(3, 9))  # W a = (2, 4, 3) is whole, so integrals are exact
OTHER_RATES = (Fraction(5, 9), Fraction(1, 9), Fraction(3, 9))
POINTS = ([Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], [Fraction(1, 7), Fraction(2, 7), Fraction(4, 7)])


def chapter() -> ModuleType:
    """Return the chapter's module, with its formulas as they are now."""
    return load(FOLDER / "03_opinion.py")


def double(values: Sequence[float]) -> torch.Tensor:
    """Tensor of float64."""
    return torch.tensor(values, dtype=torch.float64)


def belief_of(counts: Sequence[float], weight: float, rates: Sequence[Fraction]) -> DirichletBelief:
    """Build bogc's Dirichlet of some evidence."""
    evidence = Evidence(double(counts), float(weight))
    return DirichletBelief.from_evidence(evidence, double([float(a) for a in rates]))


@check("3.12", "3.13", how=How.NUMERICAL, tolerance=1e-12)
def product_of_densities() -> float:
    """Log of exact integrals; Pyro's conjugate_update; and its log densities at two points."""
    first, second = (5, 11, 8), (3, 4, 2)
    total = [a + b - 2 for a, b in zipped(first, second)]
    exact = log(simplex_integral(total))
    exact -= sum(log(simplex_integral([a - 1 for a in alpha])) for alpha in (first, second))
    one, two = dist.Dirichlet(double(first)), dist.Dirichlet(double(second))
    updated, constant = one.conjugate_update(two)
    pairs = [(chapter().log_normaliser(first, second), exact), (float(constant), exact)]
    pairs += zipped(chapter().product_of(first, second), updated.concentration.tolist())
    for point in POINTS:
        p = double([float(x) for x in point])
        joint = dist.Dirichlet(double(chapter().product_of(first, second))).log_prob(p) + exact
        pairs.append((float(joint), float(one.log_prob(p) + two.log_prob(p))))
    return float(max(abs(x - y) for x, y in pairs))


@check("3.14", how=How.NUMERICAL, tolerance=1e-13, code="bogc.belief.DirichletBelief.from_evidence")
def evidence_enters_as_a_factor() -> float:
    """Pyro's update of bogc's Dirichlet of no evidence is that of the evidence, for W = 9 and 2.5."""
    error = 0.0
    for weight in (WEIGHT, 2.5):
        likelihood = dist.Dirichlet(double(chapter().factor(COUNTS)))
        updated, _ = belief_of((0, 0, 0), weight, RATES).to_pyro().conjugate_update(likelihood)
        code = belief_of(COUNTS, weight, RATES).concentration
        error = max(error, largest(updated.concentration.tolist(), code.tolist()))
    return error


@check("3.15", how=How.RATIONAL)
def marginal_moments() -> float:
    """First six moments of each share of Dirichlet(5, 11, 8), over the triangle and over [0, 1]."""
    alpha, unit = (5, 11, 8), np.eye(3, dtype=int)
    cases = [(k, power) for k in range(3) for power in range(1, 7)]
    wide = [moment(alpha, (power * unit[k]).tolist()) for k, power in cases]
    return largest(wide, [moment(chapter().marginal(alpha, k), (power, 0)) for k, power in cases])


@check("3.16", how=How.NUMERICAL, tolerance=1e-10, code="bogc.belief.SignFrame.distribute")
def evidence_splits_by_sign() -> float:
    """Formula and code against the integral of the Normal density over the positive half-line."""
    error = 0.0
    for amount, loc, variance in ((7.3, 0.4, 2.3), (0.9, -1.7, 0.6)):
        area = quad(lambda g: exp(-((g - loc) ** 2) / (2 * variance)), 0, 20)[0]  # noqa: B023 - used at once
        positive = amount * area / sqrt(2 * pi * variance)
        posterior = GradientPosterior(double([loc]), double([variance]))
        code = SignFrame().distribute(double([amount]), posterior)[0].tolist()
        for found in (chapter().sign_evidence(amount, loc, variance), code):
            error = max(error, largest(found, (positive, amount - positive)))
    return error


@check("3.17", how=How.RATIONAL)
def sign_probability_is_a_beta_mean() -> float:
    """Exact mean of Beta(e+ + W/2, e- + W/2): of 15 observations 11 positive, W = 6."""
    u, positive = Fraction(6, 6 + 15), Fraction(11, 15)
    return abs(float(chapter().sign_probability(u, positive) - moment((11 + 3, 4 + 3), (1, 0))))


@check("3.17", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.PseudoCount")
def code_shrinks_the_sign() -> float:
    """From posterior to projected probability in bogc, with u = v / tau^2 and Phi(.3 / .5) by quadrature."""
    prior, posterior = (
        GradientPrior(double([0.0]), double([2.0])),
        GradientPosterior(double([0.3]), double([0.25])),
    )
    evidence = PseudoCount(prior_weight=3.0)(posterior, prior)
    found = Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence)).projected_probability[0, 0]
    area = quad(lambda z: exp(-z * z / 2), 0, 0.6)[0] / sqrt(2 * pi)
    return float(abs(float(found) - chapter().sign_probability(0.25 / 2, 0.5 + area)))
