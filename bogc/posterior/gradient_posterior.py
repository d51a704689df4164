"""The Gaussian posterior of a gradient: independent over dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import (
    Unchecked,
    check_alike,
    check_broadcastable,
    check_finite,
    check_floating,
    check_values,
)
from bogc.errors import ZeroVarianceError


@dataclass(frozen=True, eq=False)
class GradientPosterior(Unchecked):
    """g_d ~ Normal(loc_d, variance_d), given the batch.

    Attributes:
        loc: Posterior mean mu, [..., D], in units of the gradient (of a mean over the batch).
        variance: Posterior variance v > 0, [..., D].

    Raises:
        ZeroVarianceError: A variance is not positive, so its precision does not exist.
        NonFiniteError, ShapeError, DtypeError, DeviceError: The fields are not finite or do not fit.
    """

    loc: Float[Tensor, "*batch D"]
    variance: Float[Tensor, "*batch D"]

    def __post_init__(self) -> None:
        for name, value in (("loc", self.loc), ("variance", self.variance)):
            check_floating(name, value)
            check_finite(name, value)
        check_alike("loc and variance", self.loc, self.variance)
        check_broadcastable("loc and variance", self.loc, self.variance)
        check_positive_variance("variance", self.variance)

    @property
    def precision(self) -> Float[Tensor, "*batch D"]:
        """Lambda = 1 / v."""
        return self.variance.reciprocal()

    @property
    def scale(self) -> Float[Tensor, "*batch D"]:
        """Standard deviation."""
        return self.variance.sqrt()

    def to_pyro(self) -> Any:
        """Return the ``pyro.distributions.Normal``, one event of D dimensions."""
        from pyro.distributions import Normal  # slow to import, and no step of training needs it

        return Normal(self.loc, self.scale).to_event(1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Float[Tensor, "..."]:
        """Draw gradients [*sample_shape, ..., D], differentiable in loc and variance."""
        sample: Tensor = self.to_pyro().rsample(torch.Size(sample_shape))
        return sample

    def log_prob(self, gradient: Float[Tensor, "*any D"]) -> Float[Tensor, "*any"]:
        """Log density of whole gradients, summed over dimensions."""
        density: Tensor = self.to_pyro().log_prob(gradient)
        return density


def check_positive_variance(parameter: str, variance: Tensor) -> None:
    """Raise ZeroVarianceError unless every variance is positive. Reads the device."""
    check_values(
        parameter,
        "must be positive",
        variance,
        variance > 0,
        "Give it a floor: a dimension without any variance has infinite precision.",
        ZeroVarianceError,
    )
