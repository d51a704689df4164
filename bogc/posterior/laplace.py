"""The Laplace route: uncertain parameters make an uncertain gradient.

A parameter group, in the secondary sources the last layer before each modality's output, gets the Laplace
posterior q(theta) = Normal(theta_hat, (N F + tau0 I)^-1) with F a diagonal Fisher or Gauss-Newton matrix per
sample. Gradients at draws from it are matched by a Gaussian. For a quadratic loss with Hessian H this is
Normal(grad(theta_hat), H Sigma H) exactly; in general it is the delta method.

``bogc.gradients.Drawn`` draws the last layers of a network in training, and ``MatchedRoute`` takes the
moments over these draws as they are: the reading ``laplace``. ``Laplace`` is the same for one vector of
parameters and its gradient as a function. ``LaplaceRoute`` is the delta method with H = F: it needs the
moments alone, so that it serves every layer within one backward pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_finite, check_number, check_values
from bogc.gradients import ONE_BLOCK, GradientMoments, Pool
from bogc.gradients.drawn import laplace_variance
from bogc.posterior.conjugate import ROUTES, PosteriorRoute
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.prior import ABSOLUTE_FLOOR, GradientPrior

GradientFunction = Callable[[Float[Tensor, " D"]], Float[Tensor, " D"]]


def empirical_fisher(moments: GradientMoments) -> Float[Tensor, "*batch D"]:
    """Diagonal empirical Fisher per sample: mean_n g_n^2 = variance (N-1)/N + mean^2."""
    count = moments.count
    return moments.variance * (count - 1) / count + moments.mean.square()


def categorical_ggn(features: Float[Tensor, "N F"], logits: Float[Tensor, "N C"]) -> Float[Tensor, " D"]:
    """Diagonal Gauss-Newton matrix per sample of cross-entropy in a linear layer, D = C F + C (weight, bias).

    The Hessian of cross-entropy in the logits has diagonal p (1 - p); the chain rule squares the features.
    """
    probability = logits.softmax(-1)
    curvature = probability * (1 - probability)
    weight = curvature.transpose(0, 1) @ features.square() / len(features)
    return torch.cat([weight.flatten(), curvature.mean(0)])


@dataclass(frozen=True, eq=False)
class Laplace:
    """Monte Carlo push-forward of a diagonal Laplace posterior through the gradient.

    Args:
        gradient: theta [D] -> gradient of the *mean* loss at theta, [D].
        centre: theta_hat, [D].
        prior_precision: tau0 > 0, of the parameters.
        curvature: F, [D], per sample; the empirical Fisher of the moments if None.
        samples: Draws S >= 2; the matched variance has relative standard error sqrt(2 / (S - 1)).
        generator: Source of the draws; torch's global one if None.
    """

    gradient: GradientFunction
    centre: Float[Tensor, " D"]
    prior_precision: float = 1.0
    curvature: Float[Tensor, " D"] | None = None
    samples: int = 32
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        check_finite("centre", self.centre)
        precision = self.prior_precision
        check_number(
            "prior_precision", precision, precision > 0, "must be positive", "Use the weight decay times N."
        )
        check_number("samples", self.samples, self.samples >= 2, "must be at least 2", "Use 32.")
        if self.curvature is not None:
            check_finite("curvature", self.curvature)
            valid = self.curvature >= 0
            check_values(
                "curvature", "must not be negative", self.curvature, valid, "Use a Fisher or GGN diagonal."
            )

    def parameter_posterior(self, moments: GradientMoments) -> GradientPosterior:
        """Return q(theta) as a diagonal Gaussian [D]."""
        curvature = empirical_fisher(moments) if self.curvature is None else self.curvature
        variance = laplace_variance(curvature, self.prior_precision, moments.count)
        return GradientPosterior.unchecked(loc=self.centre, variance=variance)

    def __call__(self, moments: GradientMoments) -> GradientPosterior:
        """Return the matched Gaussian of the gradient, [D]; S evaluations of ``gradient``.

        Raises:
            ZeroVarianceError: The gradient does not depend on the parameters, as for a linear loss.
        """
        posterior = self.parameter_posterior(moments)
        shape = (self.samples, *self.centre.shape)
        noise = torch.randn(
            shape, generator=self.generator, dtype=self.centre.dtype, device=self.centre.device
        )
        draws = torch.stack([self.gradient(theta) for theta in posterior.loc + posterior.scale * noise])
        matched = GradientMoments.from_samples(draws)
        return GradientPosterior(matched.mean, matched.variance)


@ROUTES.register("laplace")
@dataclass(frozen=True)
class LaplaceRoute(PosteriorRoute):
    """Delta method with the empirical Fisher in both places: v = F^2 / (N F + tau0) (theory 1.38).

    The mean is the batch gradient, not shrunk: the prior of the gradient has no part in it and only sets the
    scale that evidence is measured by. Where N F is large against tau0, v = F / N, which is the noise of the
    batch mean with the mean square in place of the variance; where F is small, the loss is flat, v nearly 0.
    Unlike the default it depends on the scale of the loss: scaled by c, F grows by c^2 and tau0 does not.

    Attributes:
        prior_precision: tau0 > 0, of the parameters; the weight decay times N if that is meant as the prior.
    """

    prior_precision: float = 1.0

    def __post_init__(self) -> None:
        precision = self.prior_precision
        remedy = "Use the weight decay times N."
        check_number("prior_precision", precision, precision > 0, "must be positive", remedy)

    def __call__(
        self, moments: GradientMoments, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> GradientPosterior:
        """Return the posterior, [..., D]; ``prior`` is not looked at."""
        fisher = empirical_fisher(moments)
        pushed = fisher * (fisher / (moments.count * fisher + self.prior_precision))
        # far from float32's range: a flat direction keeps a positive variance
        return GradientPosterior.unchecked(loc=moments.mean, variance=pushed.clamp_min(ABSOLUTE_FLOOR))


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
