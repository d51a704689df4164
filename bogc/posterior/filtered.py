"""The posterior over steps: a filter that carries evidence, and takes the place of an optimiser's momentum.

The state-space model behind it: a gradient moves as g_t = phi g_{t-1} + drift, of stationary variance tau^2,
and is seen through batches with noise v_t (``program.filtered_program``). What is carried is not the variance
P but the evidence e = tau^2 / P - 1 (over W). Predicting, P' = phi^2 P + (1 - phi^2) tau^2 is
tau^2 (1 + (1 - phi^2) e) / (1 + e), whose evidence is F(e); correcting, 1/P = 1/P' + 1/v_t is
e = F + tau^2 / v_t (theory 1.31, 1.32). So with one tau^2 this is the scalar Kalman filter (1960) of each
dimension, whatever noise and phi do from step to step.

Where tau^2 moves, as the default's does with the root of the noise, it is not: a Kalman filter would keep P,
and u = P / tau^2 would jump with every new estimate of tau^2. The evidence form keeps e, so u = 1 / (1 + e),
and lets P follow tau^2: the same share of what was not known stays unknown. The mean is kept as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor

from bogc.gradients import ONE_BLOCK, GradientMoments, Pool
from bogc.posterior.conjugate import ROUTES, PosteriorRoute, normal_posterior
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.prior import GradientPrior


class Filtered(NamedTuple):
    """What a filter knows after a step.

    Attributes:
        mean: Posterior mean of the gradient, [..., D].
        evidence: e = tau^2 / posterior variance - 1, [..., D]; 0 before the first batch.
    """

    mean: Float[Tensor, "*batch D"]
    evidence: Float[Tensor, "*batch D"]


def predicted_evidence(evidence: Tensor, phi: Tensor | float) -> Tensor:
    """F(e) = phi^2 e / (1 + (1 - phi^2) e): what a step of drift leaves of evidence (theory 1.31)."""
    kept = phi * phi
    return kept * evidence / (1 + (1 - kept) * evidence)


def filter_step(
    before: Filtered, moments: GradientMoments, prior: GradientPrior, phi: Tensor | float
) -> Filtered:
    """Predict, then take in a batch: e = F + r, mean = phi m + K (g - phi m), K = r / (1 + e) (theory 1.32).

    Args:
        before: After the step before; zeros before the first.
        moments: Of the batch, [..., D].
        prior: The stationary distribution; its mean is taken to be zero.
        phi: How much of the gradient is left after a step, in [0, 1].
    """
    ratio = prior.variance / moments.noise
    evidence = predicted_evidence(before.evidence, phi) + ratio
    expected = phi * before.mean
    return Filtered(expected + ratio / (1 + evidence) * (moments.mean - expected), evidence)


@ROUTES.register("filtered")
@dataclass(frozen=True)
class FilteredRoute(PosteriorRoute):
    """Posterior over steps, whose means are aggregated. For optimisers without momentum, which it replaces.

    Use SGD without momentum, or Adam with beta_1 = 0, and the "stationary" prior, which estimates phi; with
    momentum on top, a gradient is averaged over steps twice.
    """

    aggregates: ClassVar[str] = "posterior-mean"
    remembers: ClassVar[tuple[str, ...]] = ("filtered mean", "filtered evidence")

    def __call__(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> GradientPosterior:
        """Posterior at a first step."""
        return normal_posterior(moments, prior)

    def remember(
        self,
        moments: GradientMoments,
        prior: GradientPrior,
        carried: Mapping[str, Tensor],
        phi: Tensor | float,
    ) -> None:
        """See the base class and ``filter_step``."""
        places = [carried[name] for name in self.remembers]
        for place, value in zip(places, filter_step(Filtered(*places), moments, prior, phi), strict=True):
            place.copy_(value)

    def posterior(
        self, moments: GradientMoments, prior: GradientPrior, carried: Mapping[str, Tensor], pool: Pool
    ) -> GradientPosterior:
        """N(mean, tau^2 / (1 + e))."""
        mean, evidence = (carried[name] for name in self.remembers)
        return GradientPosterior.unchecked(loc=mean.clone(), variance=prior.variance / (evidence + 1))
