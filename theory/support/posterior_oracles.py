"""What the formulas of chapter 1 are compared with: Bayes' rule, integrals, maximisations and recursions."""

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import inf, isnan
from typing import Any

import numpy as np
import scipy.stats
import sympy as sp
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from torch import Tensor

from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior
from theory.chapters import FOLDER, load
from theory.support.expectations import LAW

PRIOR_MEAN, PRIOR_VARIANCE = Fraction(-3, 10), Fraction(13, 10)
SAMPLES = [Fraction(x) for x in ("3/5", "-7/4", "9/2", "5/3", "-11/5")]
Numbers = Iterable[Any]


class Formulas:
    """The formulas of a chapter as they are when a check runs, mutated or not."""

    def __init__(self, chapter: str) -> None:
        self._path = FOLDER / chapter

    def __getattr__(self, name: str) -> Any:
        return getattr(load(self._path), name)


f = Formulas("01_posterior.py")


def observed() -> tuple[GradientPrior, GradientMoments]:
    """Return a prior off zero and the moments of SAMPLES."""
    prior = GradientPrior(tensor(PRIOR_MEAN), tensor(PRIOR_VARIANCE))
    return prior, GradientMoments.from_samples(tensor(*SAMPLES).unsqueeze(1))


def tensor(*values: Any) -> Tensor:
    """Return numbers as a float64 vector."""
    return torch.tensor([float(v) for v in values], dtype=torch.float64)


def exact_moments(samples: Sequence[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    """Return count, mean and scatter in rationals."""
    mean = sum(samples, Fraction()) / len(samples)
    return Fraction(len(samples)), mean, sum(((x - mean) ** 2 for x in samples), Fraction())


def gap(found: Numbers, wanted: Numbers) -> float:
    """Return the largest difference of two sequences of numbers; infinite for NaN, which max may drop."""
    differences = [abs(float(f) - float(w)) for f, w in zip(found, wanted, strict=True)]
    return max(inf if isnan(d) else d for d in differences)


def symbols(names: str) -> Any:
    """Return positive symbols."""
    return sp.symbols(names, positive=True)


def differs(found: Any, wanted: Any) -> int:
    """Return 1 unless two expressions, or sequences of them, are identical."""
    pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
    return int(any(sp.simplify(f - w) != 0 for f, w in pairs))


def normal_by_bayes(count: int) -> tuple[Any, Any, Any]:
    """Return samples, mode and precision of exp(log prior + log likelihood), from its derivatives."""
    g, m, t, s = sp.Symbol("g"), sp.Symbol("m"), *symbols("t s")
    data = sp.symbols(f"G1:{count + 1}")
    density = -((g - m) ** 2) / (2 * t) - sum((x - g) ** 2 for x in data) / (2 * s)
    return (m, t, s, sum(data) / count), sp.solve(density.diff(g), g)[0], -density.diff(g, 2)


def nig_kernel(g: Any, s: Any, kappa: Any, m: Any, a: Any, b: Any) -> Any:
    """Log density of a Normal-inverse-gamma in (g, sigma^2 = s), without its constant."""
    return -(a + sp.Rational(3, 2)) * sp.log(s) - (2 * b + kappa * (g - m) ** 2) / (2 * s)


def integrated_normal(g: float, kappa: float, m: float, a: float, b: float) -> float:
    """Integrate Normal(g; m, s / kappa) times InverseGamma(s; a, b) over s."""
    law = scipy.stats.invgamma(a, scale=b)
    return quad(lambda s: law.pdf(s) * scipy.stats.norm.pdf(g, m, (s / kappa) ** 0.5), 0, np.inf)[0]


def integrated_noise(kappa: float, a: float, b: float) -> float:
    """Return E(s) / kappa with the expectation under InverseGamma(s; a, b) integrated."""
    law = scipy.stats.invgamma(a, scale=b)
    return quad(lambda s: s * law.pdf(s), 0, np.inf)[0] / kappa


def minus_log_normal(mu: Any, v: Any) -> Any:
    """Average -log Normal(x; mu, v) over the two-point LAW, term by term."""
    terms = [(sp.Rational(*p.as_integer_ratio()), sp.Rational(*x.as_integer_ratio())) for p, x in LAW]
    return sum(p * (sp.log(2 * sp.pi * v) / 2 + (x - mu) ** 2 / (2 * v)) for p, x in terms)


def maximiser(observed: Sequence[tuple[float, float]]) -> float:
    """Return the prior variance >= 0 that maximises the marginal likelihood of (squared mean, noise)."""

    def loss(tau2: float) -> float:
        return sum(np.log(tau2 + s) + q / (tau2 + s) for q, s in observed)

    found = minimize_scalar(loss, bounds=(0, 20), method="bounded", options={"xatol": 1e-11}).x
    return 0.0 if loss(0.0) < loss(found) else float(found)


def truncated_excess(noise: float) -> float:
    """Integrate max(g^2 - s, 0) over g ~ Normal(0, s)."""
    law = scipy.stats.norm(0, noise**0.5)
    return quad(lambda g: 2 * (g**2 - noise) * law.pdf(g), noise**0.5, np.inf)[0]


def variance_of_mean_square(variance: float, dimensions: int) -> float:
    """Enumerate three-point Gauss-Hermite nodes, exact to degree 5, in each of the dimensions."""
    nodes = ((-(3**0.5), 1 / 6), (0.0, 2 / 3), (3**0.5, 1 / 6))
    grid = [
        (float(np.prod([w for _, w in point])), variance * sum(x**2 for x, _ in point) / dimensions)
        for point in itertools.product(nodes, repeat=dimensions)
    ]
    mean = sum(w * x for w, x in grid)
    return sum(w * (x - mean) ** 2 for w, x in grid)


def split(samples: Sequence[Fraction], sizes: Sequence[int]) -> list[tuple[int, Fraction]]:
    """Cut samples into groups; return the (size, mean) of each."""
    starts = [sum(sizes[:c]) for c in range(len(sizes))]
    return [(n, sum(samples[s : s + n], Fraction()) / n) for s, n in zip(starts, sizes, strict=True)]


def weighted_moments(weights: Sequence[Any], samples: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return weight, mean and scatter by definition."""
    total = sum(weights)
    mean = sum(w * x for w, x in zip(weights, samples, strict=True)) / total
    return total, mean, sum(w * (x - mean) ** 2 for w, x in zip(weights, samples, strict=True))


def powers(decay: Any, count: int) -> list[Any]:
    """Return the weights of a stream, oldest first."""
    return [decay**k for k in reversed(range(count))]


def differences_match(weights: Sequence[Fraction]) -> Fraction:
    """Return tr(A)^2 / tr(A^2) of sum w_k (x_k - x_{k-1})^2 = x' A x of standard Normals."""
    size = len(weights) + 1
    a = [[Fraction(0)] * size for _ in range(size)]
    for k, w in enumerate(weights):
        for i, j, sign in ((k, k, 1), (k + 1, k + 1, 1), (k, k + 1, -1), (k + 1, k, -1)):
            a[i][j] += sign * w
    n = range(size)
    return sum(a[i][i] for i in n) ** 2 / sum(a[i][j] * a[j][i] for i in n for j in n)


def riccati(q: Any, r: Any, start: Any, steps: int) -> tuple[Any, Any]:
    """Return gain and variance after ``steps``, adding precisions: 1/v' = 1/(v + q) + 1/r."""
    v, gain = start, None
    for _ in range(steps):
        before = v + q
        v = 1 / (1 / before + 1 / r)
        gain = v / r
    return gain, v
