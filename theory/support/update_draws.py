"""Exact expectations for chapter 5: means over fair signs, risks on symbols, runs of SGD."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy
import torch
from torch import Tensor


def differs(*differences: Any) -> float:
    """0 if every symbolic difference cancels, else 1."""
    return float(any(sympy.cancel(d) != 0 for d in differences))


def expectation(function: Callable[..., Any], draws: int) -> Fraction:
    """Exact mean of function(s_1, ..., s_draws) over independent fair signs."""
    return sum((function(*signs) for signs in product((-1, 1), repeat=draws)), Fraction(0)) / 2**draws


def squared_error(c: Sequence[Any], g: Sequence[Any], deviations: Sequence[Any]) -> Fraction:
    """Mean of (sum c (g +- s) - sum g)^2 over independent fair signs."""

    def square(*signs: int) -> Any:
        draws = [x + z * s for x, z, s in zip(g, signs, deviations, strict=True)]
        return (sum(k * x for k, x in zip(c, draws, strict=True)) - sum(g)) ** 2

    return expectation(square, len(g))


def symbolic_risk(c: Any, prior: Any, noise: Any) -> Any:
    """E (c (g + e) - g)^2 from E g^2, E e^2 and E g e = 0, by expansion."""
    g, e = sympy.symbols("g e")
    square = sympy.Poly((c * (g + e) - g) ** 2, g, e)
    return square.coeff_monomial(g**2) * prior + square.coeff_monomial(e**2) * noise


def squared_total(rows: Sequence[Sequence[Any]]) -> Any:
    """Squared norm of the sum of the rows."""
    return sum(sum(column) ** 2 for column in zip(*rows, strict=True))


def box(rows: Sequence[Sequence[Any]], low: Any, high: Any) -> Any:
    """Least inner product of total and update over all corners of the coefficients; rows are sources."""
    total = [sum(column) for column in zip(*rows, strict=True)]
    terms = [g * total[d] for line in rows for d, g in enumerate(line)]
    return min(
        sum(c * t for c, t in zip(cs, terms, strict=True)) for cs in product((low, high), repeat=len(terms))
    )


def shared_signs(c: Any, gradients: Any) -> Fraction:
    """Exact mean of the inner product of total and update in two dimensions, draws with shared signs."""
    total = [x + y for x, y in zip(*gradients, strict=True)]

    def inner(s: int, t: int) -> Any:
        noise = ((2 * s, s - t), (s - 3 * t, t))
        return sum(total[d] * c[m][d] * (gradients[m][d] + noise[m][d]) for m in range(2) for d in range(2))

    return expectation(inner, 2)


def shared_variance(c: Sequence[Any], loads: Sequence[Sequence[Any]]) -> tuple[Fraction, list[list[Any]]]:
    """Exact variance of sum c z and covariance of z, where z = loads times three fair signs."""

    def row(load: Sequence[Any], signs: Sequence[Any]) -> Any:
        return sum(a * b for a, b in zip(load, signs, strict=True))

    square = expectation(lambda *z: row(c, [row(load, z) for load in loads]) ** 2, 3)
    return square, [[row(x, y) for y in loads] for x in loads]


def fusion_wins_exactly(g: Any, h: Any, s: Any, t: Any) -> bool:
    """Whether 2 x inverse-variance mean of g +- s and h +- t has less mean squared error than the sum."""
    fused = [2 * z**2 / Fraction(s**2 + t**2) for z in (t, s)]
    return squared_error(fused, (g, h), (s, t)) < squared_error((1, 1), (g, h), (s, t))


def dissimilarity(rows: Sequence[Sequence[Any]]) -> Any:
    """Largest ratio over dimensions of the summed magnitudes to the magnitude of the sum."""
    return max(sum(map(abs, column)) / abs(sum(column)) for column in zip(*rows, strict=True))


def jacobian(first: Sequence[Any], second: Sequence[Any], a: Any, b: Any) -> Any:
    """Jacobian by differentiation of the expected update of (x + a y)^2 / 2 and (x + b y)^2 / 2."""
    x, y = sympy.symbols("x y")
    slopes = [[sympy.diff((x + k * y) ** 2 / 2, z) for z in (x, y)] for k in (a, b)]
    return sympy.Matrix([first[d] * slopes[0][d] + second[d] * slopes[1][d] for d in range(2)]).jacobian(
        [x, y]
    )


def descend(matrix: Any, start: Sequence[float], rate: float, steps: int) -> Tensor:
    """End of x <- x - rate * matrix x."""
    linear = torch.tensor(matrix.tolist(), dtype=torch.float64)
    step = torch.eye(2, dtype=torch.float64) - rate * linear
    return torch.linalg.matrix_power(step, steps) @ torch.tensor(start, dtype=torch.float64)


def telescoped(steps: int) -> tuple[Any, tuple[Any, ...]]:
    """(mean squared gradient, arguments of the bound) where each step of 5.28 holds with equality."""
    start, rate, alpha, smoothness, moment = sympy.symbols("F eta alpha L m", positive=True)
    squares = sympy.symbols(f"n1:{steps + 1}", positive=True)
    value = start
    for n in squares:
        value = value - rate * alpha * n + smoothness * rate**2 * moment / 2
    return sum(squares) / steps, (start - value, rate, alpha, steps, smoothness, moment)


def best_rate() -> tuple[Any, tuple[Any, ...]]:
    """(squared least bound over the rate, its arguments), by differentiation."""
    gap, rate, alpha, steps, smoothness, moment = sympy.symbols("gap eta alpha T L m", positive=True)
    bound = gap / (alpha * rate * steps) + smoothness * rate * moment / (2 * alpha)
    least = bound.subs(rate, sympy.solve(sympy.diff(bound, rate), rate)[0])
    return sympy.simplify(least**2), (gap, alpha, steps, smoothness, moment)


def all_paths(slopes: Sequence[Any], low: Any, high: Any, rate: Any, steps: int) -> tuple[Any, Any]:
    """SGD from x = 1 on the losses slope x^2 / 2, draws +- 1/2, coefficients chosen by past draws only.

    Returns, over all paths, the mean squared gradient of the total, and the largest second moment of an
    update given its past.
    """
    squares, moments = Fraction(0), [Fraction(0)]
    for path in product(product((-1, 1), repeat=2), repeat=steps):
        x, past = Fraction(1), 1
        for signs in path:
            c = (low, high) if past > 0 else (high, low)
            drift = sum(k * s * x for k, s in zip(c, slopes, strict=True))
            squares += (sum(slopes) * x) ** 2
            moments.append(drift**2 + sum(k**2 for k in c) / 4)
            x -= rate * (drift + sum(k * sign for k, sign in zip(c, signs, strict=True)) / 2)
            past = sum(signs)
    return squares / steps / 4**steps, max(moments)


def lagrange(precisions: Sequence[Any]) -> tuple[list[Any], Any]:
    """Weights that minimise sum w^2 / Lambda where sum w = 1, by Lagrange's conditions, and the minimum."""
    w = sympy.symbols(f"w1:{len(precisions) + 1}")
    multiplier = sympy.Symbol("multiplier")
    exact = [sympy.Rational(p) for p in precisions]
    slopes = [2 * x / p - multiplier for x, p in zip(w, exact, strict=True)]
    best = sympy.solve([*slopes, sum(w) - 1], [*w, multiplier])
    least = sum(best[x] ** 2 / p for x, p in zip(w, exact, strict=True))
    return [best[x] for x in w], Fraction(int(least.p), int(least.q))
