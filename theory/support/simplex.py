"""Integrals over the probability simplex, exact and numerical: the Dirichlet's moments from nothing else."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb

import numpy as np

from theory.support.exact import zipped


def beta_integral(first: int, second: int) -> Fraction:
    """Integrate x**first (1 - x)**second over [0, 1], by expanding the second factor."""
    terms = (Fraction((-1) ** r * comb(second, r), first + r + 1) for r in range(second + 1))
    return sum(terms, Fraction(0))


def simplex_integral(exponents: Sequence[int]) -> Fraction:
    """Integrate prod p_k**exponents_k over the simplex: break one share off the stick at a time."""
    head, *tail = exponents
    if not tail:
        return Fraction(1)
    return beta_integral(head, sum(tail) + len(tail) - 1) * simplex_integral(tail)


def moment(alpha: Sequence[int], powers: Sequence[int]) -> Fraction:
    """E prod p_k**powers_k under Dirichlet(alpha) with integer alpha, as a ratio of two exact integrals."""
    raised = [a - 1 + power for a, power in zipped(alpha, powers)]
    return simplex_integral(raised) / simplex_integral([a - 1 for a in alpha])


def posterior_mean(counts: Sequence[int], prior: Sequence[int]) -> list[Fraction]:
    """Mean of the shares under prior kernel times multinomial likelihood, each an exact integral."""
    powers = [e + w - 1 for e, w in zipped(counts, prior)]
    raised = ([p + (k == j) for j, p in enumerate(powers)] for k in range(len(powers)))
    return [simplex_integral(r) / simplex_integral(powers) for r in raised]


def kernel(alpha: Sequence[Fraction | int], point: Sequence[Fraction]) -> Fraction:
    """Unnormalised Dirichlet density prod p_k**(alpha_k - 1)."""
    value = Fraction(1)
    for a, p in zipped(alpha, point):
        value *= p ** int(a - 1)
    return value


def triangle_integral(function: Callable[..., np.ndarray], order: int = 60) -> float:
    """Integrate function(p1, p2, p3) over the simplex of three shares by Gauss-Legendre rules."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    share, weight = (nodes + 1) / 2, weights / 2
    x, y = share[:, None], share[None, :]
    values = function(x + 0 * y, (1 - x) * y, (1 - x) * (1 - y)) * (1 - x)
    return float((weight[:, None] * weight[None, :] * values).sum())
