"""Checks of MIMO: the smoothed maximum of the unimodal losses."""

import math
from itertools import product

import sympy
import torch

from theory.registry import How, check
from theory.support.elementary import largest, six, together, vectors

LOSSES = list(vectors([-1.3, 0.4, 2.7], 3))


@check("6.10", how=How.NUMERICAL, tolerance=1e-13)
def objective_by_logsumexp() -> float:
    """The objective by torch.logsumexp."""
    worst = 0.0
    for f, mu in product(LOSSES, (0.3, 1.7)):
        smooth = mu * (float(torch.logsumexp(torch.tensor(f) / mu, 0)) - math.log(3))
        worst = largest(
            worst, abs(six.smooth_max(f, mu) - smooth), abs(six.mimo(0.9, f, 1.6, mu) - 0.9 - 1.6 * smooth)
        )
    return worst


@check("6.11", how=How.PROPERTY, tolerance=1e-13)
def smooth_max_between_its_bounds() -> float:
    """Within the bounds, not rising with mu; a dominant loss reaches the lower, ties the upper."""
    worst = 0.0
    for f, mu in product(LOSSES, (0.3, 1.7, 4.1)):
        value = six.smooth_max(f, mu)
        worst = largest(
            worst, six.lower_bound(f, mu) - value, value - max(f), six.smooth_max(f, 1.2 * mu) - value
        )
    alone, tied = (2.7, -900.0, -950.0), (2.7, 2.7, 2.7)
    reached = abs(six.smooth_max(alone, 1.3) - six.lower_bound(alone, 1.3))
    return largest(worst, reached, abs(six.smooth_max(tied, 1.3) - 2.7))


@check("6.12", how=How.SYMBOLIC)
def gradient_of_the_objective() -> float:
    """Differentiate the objective of three unspecified functions of one parameter."""
    t, lam, mu = sympy.symbols("t lambda mu", positive=True)
    f0, *f = (sympy.Function(f"f{m}")(t) for m in range(4))
    direct = sympy.diff(six.mimo(f0, f, lam, mu), t)
    claimed = six.mimo_gradient(sympy.diff(f0, t), [sympy.diff(v, t) for v in f], f, lam, mu)
    powers = {sympy.exp(v / mu): sympy.Symbol(f"E{m}") for m, v in enumerate(f)}
    return float(sympy.cancel((direct - claimed).subs(powers)) != 0)


@check("6.13", how=How.SYMBOLIC)
def cumulants_at_large_mu() -> float:
    """Taylor coefficients of log mean exp(t f) at t = 1/mu = 0, for three symbols."""
    t, *f = sympy.symbols("t f1:4")
    generating = sympy.log(sum(sympy.exp(t * v) for v in f) / 3)
    first, second = (sympy.diff(generating, t, n).subs(t, 0) for n in (1, 2))
    return float(sympy.expand(six.near_mean(f, 1 / t) - first - second / 2 * t) != 0)


@check("6.14", how=How.NUMERICAL, tolerance=1e-9)
def maximum_at_small_mu() -> float:
    """With one, two or three maximisers; the rest is below mu exp(-gap / mu)."""
    losses = ([2.7, 0.4, -1.3], [2.7, 0.4, 2.7], [2.7, 2.7, 2.7])
    return largest(*(abs(six.smooth_max(f, 0.09) - six.near_max(f, 0.09)) for f in losses))


@check("6.15", how=How.SYMBOLIC)
def curvature_along_a_line() -> float:
    """Differentiate the smoothed maximum of three unspecified functions twice."""
    t, mu = sympy.symbols("t mu", positive=True)
    f = [sympy.Function(f"f{m}")(t) for m in range(3)]
    E = sympy.symbols("E0:3", positive=True)
    powers = {sympy.exp(v / mu): e for v, e in together(f, E)}
    direct = sympy.diff(six.smooth_max(f, mu), t, 2)
    slopes, bends = ([sympy.diff(v, t, n) for v in f] for n in (1, 2))
    claimed = six.curvature([e / sum(E) for e in E], slopes, bends, mu)
    return float(sympy.cancel(direct.subs(powers) - claimed) != 0)


@check("6.15", how=How.EXHAUSTIVE, tolerance=1e-13)
def curvature_within_its_bound() -> float:
    """On a grid, from 0 to bend + slope^2 / mu, which two tied losses of opposite slopes reach."""
    slope, bend, worst = 1.4, 0.6, 0.0
    for mu, p in product((0.35, 2.3), ((0.2, 0.5, 0.3), (0.5, 0.5, 0.0), (0.05, 0.15, 0.8))):
        bound = bend + slope**2 / mu
        for df, ddf in product(vectors([-slope, 0.5, slope], 3), vectors([0.0, bend], 3)):
            worst = largest(worst, six.curvature(p, df, ddf, mu) - bound, -six.curvature(p, df, ddf, mu))
        tied = six.curvature((0.5, 0.5), (slope, -slope), (bend, bend), mu)
        worst = largest(worst, abs(tied - bound))
    return worst


@check("6.15", how=How.EXHAUSTIVE, tolerance=1e-13)
def half_of_the_squared_length_bounds_the_variance() -> float:
    """Linear losses with unit slope vector: the curvature is at most 1 / (2 mu)."""
    worst = 0.0
    for p, angle in product(((0.5, 0.5), (0.2, 0.8), (0.9, 0.1)), range(24)):
        v = (math.cos(math.pi * angle / 24), math.sin(math.pi * angle / 24))
        worst = largest(worst, six.curvature(p, v, (0.0, 0.0), 0.7) - 1 / 1.4)
    return worst
