"""Moments taken as they are: over draws of the last layers, the posterior of the reading ``laplace``."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bogc.gradients import ONE_BLOCK, GradientMoments, Pool
from bogc.posterior.conjugate import ROUTES, PosteriorRoute
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.prior import GradientPrior


@ROUTES.register("matched")
@dataclass(frozen=True)
class MatchedRoute(PosteriorRoute):
    """Normal(mean, variance) as measured, without a prior: over draws of parameters, the matched Gaussian.

    Its mean is that over the draws where there were any, else the batch gradient. What is aggregated is
    the gradient at the learned parameters all the same: the mean over S draws adds their noise to it, and
    that of a wide posterior belongs to other parameters than are updated. ``aggregated="posterior-mean"``
    takes the mean over draws.
    """

    def __call__(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> GradientPosterior:
        """Return the posterior, [..., D]; ``prior`` is not looked at."""
        return GradientPosterior.unchecked(loc=moments.mean, variance=moments.noise)

    def posterior(
        self, moments: GradientMoments, prior: GradientPrior, carried: Mapping[str, Tensor], pool: Pool
    ) -> GradientPosterior:
        """Take the mean over draws from ``carried``, as "drawn"."""
        loc = carried.get("drawn", moments.mean)
        return GradientPosterior.unchecked(loc=loc, variance=moments.noise)
