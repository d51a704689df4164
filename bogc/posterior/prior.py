"""Priors of a gradient, and the policies that set their scale.

The scale tau^2 decides what counts as much data: evidence is measured against it. All policies here centre
the prior at zero except the filtered one, which centres it at yesterday's posterior mean.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import (
    Unchecked,
    check_alike,
    check_broadcastable,
    check_finite,
    check_floating,
    check_number,
)
from bogc.gradients import GradientMoments
from bogc.posterior.gradient_posterior import GradientPosterior, check_positive_variance

State = Mapping[str, Tensor]
ABSOLUTE_FLOOR: Final = 1e-36  # far below the floor of the noise: a gradient of exact zeros is no evidence


@dataclass(frozen=True, eq=False)
class GradientPrior(Unchecked):
    """g_d ~ Normal(loc_d, variance_d), before the batch is seen.

    Attributes:
        loc: m, [..., D] or broadcastable to it.
        variance: tau^2 > 0, [..., D] or broadcastable to it: [1] is one scale for the whole block.

    Raises:
        ZeroVarianceError, NonFiniteError, ShapeError, DtypeError, DeviceError: As for the posterior.
    """

    loc: Float[Tensor, "*loc"]
    variance: Float[Tensor, "*variance"]

    def __post_init__(self) -> None:
        for name, value in (("prior loc", self.loc), ("prior variance", self.variance)):
            check_floating(name, value)
            check_finite(name, value)
        check_alike("prior", self.loc, self.variance)
        check_broadcastable("prior", self.loc, self.variance)
        check_positive_variance("prior variance", self.variance)

    @classmethod
    def centred(cls, variance: Tensor) -> "GradientPrior":
        """Prior around zero, unchecked: the policies keep tau^2 above a floor."""
        return cls.unchecked(loc=torch.zeros_like(variance), variance=variance)


class PriorPolicy(ABC):
    """Sets the prior of one source's gradient in one block, from what came before and from this batch."""

    @abstractmethod
    def propose(self, moments: GradientMoments, state: State) -> tuple[GradientPrior, State]:
        """Return the prior and the next state; ``state`` is ``{}`` at first."""

    def absorb(self, state: State, posterior: GradientPosterior) -> State:
        """Return the state once the posterior is known. Only a filter looks at it."""
        return state


@dataclass(frozen=True)
class FixedPrior(PriorPolicy):
    """One scale for every gradient, in units of gradient squared. Not invariant to the scale of the loss."""

    variance: float = 1.0

    def __post_init__(self) -> None:
        check_number(
            "variance", self.variance, self.variance > 0, "must be positive", "Use the scale of g^2."
        )

    def propose(self, moments: GradientMoments, state: State) -> tuple[GradientPrior, State]:
        """See the base class."""
        return GradientPrior.centred(moments.mean.new_full((1,), self.variance)), state


@dataclass(frozen=True)
class EmpiricalBayes(PriorPolicy):
    """Scale by moments: tau^2 = mean(g^2) - mean(noise), over ``decay``-weighted steps.

    Where the pooled dimensions are equally noisy, and always for a single one, this is the maximum of the
    marginal likelihood prod_d Normal(g_d; 0, tau^2 + noise_d) of a batch.
    A batch mean scatters around the true gradient, so E g^2 = tau^2 + noise; leaving the noise in would give
    every gradient at least as much evidence as the prior. Below ``floor`` times the noise the scale stays at
    that: a gradient that cannot be told from noise keeps almost all of its uncertainty, and is not divided
    by zero.
    """

    decay: float = 0.9
    floor: float = 1e-3

    def __post_init__(self) -> None:
        check_number(
            "decay", self.decay, 0 <= self.decay < 1, "must lie in [0, 1)", "Use 0.9; 0 forgets at once."
        )
        check_number("floor", self.floor, self.floor > 0, "must be positive", "Use 1e-3.")

    @abstractmethod
    def pool(self, values: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch pooled"]:
        """Average over the dimensions that share one scale."""

    def propose(self, moments: GradientMoments, state: State) -> tuple[GradientPrior, State]:
        """See the base class."""
        new = {
            "square": self.pool(moments.mean.square()),
            "noise": self.pool(moments.noise),
            "weight": moments.mean.new_ones(1),
        }
        state = {name: self.decay * state[name] + value for name, value in new.items()} if state else new
        noise = state["noise"] / state["weight"]
        signal = state["square"] / state["weight"] - noise
        return GradientPrior.centred(
            torch.maximum(signal, self.floor * noise).clamp_min(ABSOLUTE_FLOOR)
        ), state


@dataclass(frozen=True)
class BlockPrior(EmpiricalBayes):
    """One scale a block: the default, because a scale for each dimension is mostly noise."""

    def pool(self, values: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch 1"]:
        """Average over the block."""
        return values.mean(-1, keepdim=True)


@dataclass(frozen=True)
class DimensionPrior(EmpiricalBayes):
    """One scale a dimension, from its own history alone."""

    def pool(self, values: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Average over nothing."""
        return values
