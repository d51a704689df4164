"""How likely a method is better, equivalent or worse over data sets: a hierarchical model of differences.

Corani, Benavoli, Demšar, Mangili and Zaffalon (Statistical comparison of classifiers through Bayesian
hierarchical modelling, Machine Learning 106, 2017), in the variant of their code with a Gamma prior on the
degrees of freedom (BayesianTestsML/tutorial, hierarchical-t-test_nuKru.stan). Differences of accuracy x_ij of
fold j on data set i::

    x_i     ~ Normal(delta_i 1, sigma_i^2 R),  R_jj = 1, R_jk = rho = 1 / number of folds
    delta_i ~ StudentT(nu, delta_0, sigma_0)
    delta_0 ~ Uniform(-1, 1),  sigma_0 ~ Uniform(0, 1),  sigma_i ~ Uniform(0, 1),  nu ~ Gamma(1, 0.0345)

Theirs scales the uniform priors by the data; here they are the range that shares can have. ``posterior``
integrates delta_i and sigma_i out by quadrature, and what is left on a grid; ``program`` is the same model in
Pyro, its oracle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from pyro import distributions as dist

from bogc.checks import check_number
from bogc.errors import NonFiniteError, TooFewSamplesError

Array = NDArray[np.float64]
REGION: Final = 0.01
"""Half the width of the region of practical equivalence: one point."""
RATE: Final = 0.0345
SMALLEST: Final = 1e-5
"""Least standard deviation on the grids: a thousandth of a point."""


@dataclass(frozen=True)
class Verdict:
    """What differences over data sets say of their mean delta_0.

    Attributes:
        below: Probability that the mean over data sets is below the region of equivalence.
        within: In it.
        above: Above it.
        mean: Posterior mean of delta_0.
        low: Lower end of its central 95 % interval.
        high: Upper end.
    """

    below: float
    within: float
    above: float
    mean: float
    low: float
    high: float


def posterior(differences: Sequence[Sequence[float]], folds: int, region: float = REGION) -> Verdict:
    """Posterior of the mean over data sets, by quadrature.

    Args:
        differences: One list of differences of shares a data set, one a fold; at least two data sets.
        folds: Number of folds that each data set was cut into.
        region: Half the width of the region of equivalence.

    Raises:
        TooFewSamplesError: There are fewer than two data sets, or one has no fold.
        NonFiniteError: A difference is not finite.
        RangeError: There are fewer than two folds.
    """
    rows = [np.asarray(values, dtype=np.float64) for values in differences]
    _check(rows, folds)
    grid = _grid()
    likelihoods = np.stack([_likelihood(values, grid.deltas, 1 / folds) for values in rows])
    logs = np.log(np.tensordot(likelihoods, grid.masses, axes=1) + 1e-300).sum(0) + grid.prior
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    return _verdict(grid.centres, weight.sum((1, 2)), region)


@dataclass(frozen=True)
class _Grid:
    """What does not depend on the data.

    Attributes:
        deltas: Means of a data set.
        centres: delta_0, [C].
        masses: Probability of each delta, [deltas, C, sigma_0, nu].
        prior: Logarithm of the prior, [C, sigma_0, 1]; values of nu have equal weight.
    """

    deltas: Array
    centres: Array
    masses: Array
    prior: Array


@cache
def _grid() -> _Grid:
    from scipy import stats  # slow to import

    deltas, centres = _symmetric(120), _symmetric(90)
    scales = np.geomspace(1e-4, 1, 32)
    freedoms = stats.gamma.ppf((np.arange(6) + 0.5) / 6, 1, scale=1 / RATE)  # of equal weight
    edges = np.concatenate(([-np.inf], (deltas[1:] + deltas[:-1]) / 2, [np.inf]))
    spread = edges[:, None, None, None] - centres[:, None, None]
    masses = np.diff(stats.t.cdf(spread / scales[:, None], freedoms), axis=0)
    prior = np.log(np.gradient(centres))[:, None, None] + np.log(np.gradient(scales))[:, None]
    return _Grid(deltas, centres, masses, prior)


def program(differences: torch.Tensor, folds: int) -> None:
    """The same model in Pyro.

    Args:
        differences: [data sets, folds], float64.
        folds: Number of folds that each data set was cut into.
    """
    sets, count = differences.shape
    one, zero = differences.new_ones(()), differences.new_zeros(())
    centre = pyro.sample("delta_0", dist.Uniform(-one, one))
    scale = pyro.sample("sigma_0", dist.Uniform(zero, one))
    freedom = pyro.sample("nu", dist.Gamma(one, RATE * one))
    shape: Any = differences.new_full((count, count), 1 / folds).fill_diagonal_(1.0)
    with pyro.plate("data sets", sets):
        sigma = pyro.sample("sigma", dist.Uniform(zero, one))
        delta = pyro.sample("delta", dist.StudentT(freedom, centre, scale))
        tril = torch.linalg.cholesky(shape) * sigma[..., None, None]
        mean = delta[..., None].expand(*delta.shape, count)
        pyro.sample("x", dist.MultivariateNormal(mean, scale_tril=tril), obs=differences)


def _likelihood(values: Array, deltas: Array, rho: float) -> Array:
    """p(x | delta) on a grid, with sigma integrated out, up to a factor.

    R has the eigenvalue 1 + (n - 1) rho along the mean and 1 - rho across it.
    """
    n = len(values)
    sigmas = np.geomspace(SMALLEST, 1, 160)
    along = n * (values.mean() - deltas) ** 2 / (1 + (n - 1) * rho)
    across = ((values - values.mean()) ** 2).sum() / (1 - rho)
    logs = -n * np.log(sigmas) - (along[:, None] + across) / (2 * sigmas**2) + np.log(np.gradient(sigmas))
    return np.asarray(np.exp(logs - logs.max()).sum(1))


def _verdict(centres: Array, weight: Array, region: float) -> Verdict:
    """Probabilities and interval of a distribution on a grid; mass lies evenly between the grid's edges."""
    edges = np.concatenate(([centres[0]], (centres[1:] + centres[:-1]) / 2, [centres[-1]]))
    cumulated = np.concatenate(([0.0], np.cumsum(weight)))
    at = np.interp([-region, region], edges, cumulated)
    low, high = np.interp([0.025, 0.975], cumulated, edges)
    mean = float((weight * centres).sum())
    below, above = float(at[0]), float(1 - at[1])
    return Verdict(below, float(at[1] - at[0]), above, mean, float(low), float(high))


def _symmetric(half: int) -> Array:
    """Grid on [-1, 1] that is fine near 0."""
    positive = np.geomspace(1e-4, 1, half)
    return np.concatenate((-positive[::-1], [0.0], positive))


def _check(rows: Sequence[Array], folds: int) -> None:
    check_number("folds", folds, folds >= 2, "must be at least 2", "Say how many folds there are.")
    least = min((len(values) for values in rows), default=0)
    if len(rows) < 2 or least < 1:
        found = f"{len(rows)} data sets, the smallest of {least} folds"
        rule, remedy = "must be of two data sets or more, with a fold each", "Finish more runs."
        raise TooFewSamplesError("differences", rule, found, remedy)
    for values in rows:
        if not np.isfinite(values).all():
            raise NonFiniteError("differences", "must be finite", values.tolist(), "Leave diverged runs out.")
