"""Posteriors in closed form: Normal with known variance, Normal-inverse-gamma with unknown variance."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number, check_real, check_type
from bogc.gradients import ONE_BLOCK, GradientMoments, Pool
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.prior import GradientPrior
from bogc.posterior.student import StudentTPosterior
from bogc.registry import Registry

ROUTES: Final[Registry[type["PosteriorRoute"]]] = Registry("posterior")


class PosteriorRoute(ABC):
    """From a prior and the moments of a batch to the posterior of the gradient."""

    pools: ClassVar[bool] = False
    """Whether the posterior in one dimension depends on the other dimensions of the block."""
    aggregates: ClassVar[str] = "batch-mean"
    """What of each source is aggregated if nothing else is asked for."""
    remembers: ClassVar[tuple[str, ...]] = ()
    """Names of what it carries to the next step in every dimension, zero at first."""

    @abstractmethod
    def __call__(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> GradientPosterior:
        """Return the posterior of this batch alone; moments [..., D] with positive variance."""

    def remember(
        self,
        moments: GradientMoments,
        prior: GradientPrior,
        carried: Mapping[str, Tensor],
        phi: Tensor | float,
    ) -> None:
        """Take a batch into what is carried over steps, [..., D] by name, in place; by default nothing is.

        Args:
            moments: Of the batch.
            prior: Of the gradient at any time.
            carried: What ``remembers`` names.
            phi: How much of the gradient is left after a step, broadcastable to [..., D].
        """
        return

    def posterior(
        self, moments: GradientMoments, prior: GradientPrior, carried: Mapping[str, Tensor], pool: Pool
    ) -> GradientPosterior:
        """Return the posterior after ``remember``: by default that of the batch alone."""
        return self(moments, prior, pool)


def shrinkage(prior_variance: Tensor, noise: Tensor) -> Tensor:
    """Return tau^2 / (tau^2 + noise): how much of the sample mean the posterior mean keeps (theory 1.2)."""
    return prior_variance / (prior_variance + noise)


def normal_posterior(moments: GradientMoments, prior: GradientPrior) -> GradientPosterior:
    """Normal-Normal update with the sample variance plugged in (Gelman et al. 2013).

    1/v = 1/tau^2 + N/sigma^2 and mu = v (m/tau^2 + N mean/sigma^2), written with the shrinkage factor so that
    neither a large precision nor a small variance is ever formed on its own.
    """
    noise = moments.noise
    kept = shrinkage(prior.variance, noise)
    return GradientPosterior.unchecked(
        loc=torch.lerp(prior.loc.expand_as(moments.mean), moments.mean, kept.expand_as(moments.mean)),
        variance=kept * noise,
    )


@ROUTES.register("normal")
@dataclass(frozen=True)
class NormalRoute(PosteriorRoute):
    """The conjugate Normal route: the default."""

    def __call__(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> GradientPosterior:
        """See normal_posterior."""
        return normal_posterior(moments, prior)


@dataclass(frozen=True)
class ConjugateNormal:
    """The same with the prior given first: ``ConjugateNormal(prior)(moments)``, with its arguments checked.

    Raises:
        TooFewSamplesError: The moments have no variance (N = 1).
        ZeroVarianceError: The sample variance is zero somewhere.
    """

    prior: GradientPrior

    def __post_init__(self) -> None:
        check_type("prior", self.prior, GradientPrior, "Pass its mean and variance as one.")

    def __call__(self, moments: GradientMoments) -> GradientPosterior:
        """Return the posterior [..., D]. Reads the device; the training loop uses NormalRoute."""
        check_type("moments", moments, GradientMoments, "Use GradientMoments.from_samples.")
        posterior = normal_posterior(moments.require_variance(), self.prior)
        return GradientPosterior(posterior.loc, posterior.variance)


@ROUTES.register("normal-inverse-gamma")
@dataclass(frozen=True)
class NormalInverseGammaRoute(PosteriorRoute):
    """Unknown variance treated exactly; the Student-t marginal is then matched by a Gaussian.

    sigma^2 ~ InverseGamma(a0, b0), g | sigma^2 ~ Normal(m, sigma^2 / kappa0) (Gelman et al. 2013).
    b0 centres sigma^2 at the block's pooled variance; kappa0 makes the prior variance of g that of ``prior``
    there. Conjugacy ties the shrinkage N / (kappa0 + N) to the block: it no longer differs by dimension, only
    the posterior variance does.

    Attributes:
        shape: a0 > 1, so that the mean of sigma^2 exists: the variance prior weighs as 2 a0 observations.
    """

    shape: float = 3.0
    pools: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(shape=self.shape)
        valid = 1 < self.shape < math.inf
        check_number("shape", self.shape, valid, "must exceed 1 and be finite", "Use 3.")

    def marginal(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> StudentTPosterior:
        """Return the exact marginal posterior of g, a Student-t [..., D]."""
        pooled = pool.mean(moments.variance)
        kappa0 = pooled / prior.variance
        kappa = kappa0 + moments.count
        shape = self.shape + (moments.degrees_of_freedom + 1) / 2
        rate = _rate(moments, prior, kappa0, (self.shape - 1) * pooled)
        kept = moments.count / kappa
        return StudentTPosterior.unchecked(
            df=2 * shape,
            loc=prior.loc + kept * (moments.mean - prior.loc),
            scale=(rate / (shape * kappa)).sqrt(),
        )

    def __call__(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> GradientPosterior:
        """Return the Gaussian with the marginal's mean and variance."""
        return self.marginal(moments, prior, pool).to_gaussian()


def _rate(
    moments: GradientMoments, prior: GradientPrior, kappa0: Tensor, rate: Tensor
) -> Float[Tensor, "*batch D"]:
    """b_n = b0 + scatter/2 + (kappa0 N / (kappa0 + N)) (mean - m)^2 / 2."""
    pull = kappa0 * moments.count / (kappa0 + moments.count)
    return rate + moments.scatter / 2 + pull * (moments.mean - prior.loc).square() / 2
