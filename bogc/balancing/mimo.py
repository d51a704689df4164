"""MIMO: the fusion loss and a smoothed maximum of the unimodal losses (arXiv 2511.06686)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.balancing.balancer import Balancer, Step, plain_step
from bogc.balancing.fields import setting
from bogc.balancing.observation import Observation
from bogc.balancing.search import LogUniform
from bogc.balancing.share import EVERYWHERE
from bogc.checks import check_number
from bogc.gradients import FUSION, ModalityPartition


def smoothed_maximum_weights(losses: Float[Tensor, " M"], smoothing: float) -> Float[Tensor, " M"]:
    """p = softmax(f / mu), the gradient of mu log mean exp(f / mu) in f (theory 6.12)."""
    return torch.softmax(losses.detach() / smoothing, dim=0)


class MIMO(Balancer):
    """g = grad f_0 + lambda sum_m p_m grad f_m with p = softmax(f / mu): one backward pass, no subroutine.

    The objective F = f_0 + lambda mu log mean exp(f / mu) is a reconstruction (theory 6.10); the paper's
    constants are not available to us, so lambda and mu are to be tuned.

    Args:
        partition: Which modules belong to which modality.
        strength: lambda >= 0; 0 is joint training.
        smoothing: mu > 0, in units of the loss; towards 0 only the worst modality counts.
    """

    divisible = EVERYWHERE

    def __init__(self, partition: ModalityPartition, strength: float = 1.0, smoothing: float = 0.1) -> None:
        super().__init__(partition)
        check_number("strength", strength, strength >= 0, "must not be negative", "Use 1.")
        check_number("smoothing", smoothing, smoothing > 0, "must be positive", "Use 0.1.")
        self.strength = strength
        self.smoothing = smoothing

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        means = seen.values()
        unimodal = [source for source in means if source != FUSION]
        factors = {FUSION: torch.ones_like(means[FUSION])}
        if unimodal:
            weights = smoothed_maximum_weights(torch.stack([means[m] for m in unimodal]), self.smoothing)
            factors |= dict(zip(unimodal, self.strength * weights, strict=True))
        return plain_step(seen, factors, self, factors)


@dataclass(frozen=True)
class MIMOSettings:
    """lambda and mu."""

    strength: float = setting(1.0, "lambda, weight of the smoothed maximum", LogUniform(0.1, 10.0))
    smoothing: float = setting(0.1, "mu, smoothing of the maximum", LogUniform(0.01, 10.0))

    def build(self, partition: ModalityPartition) -> MIMO:
        """Make the balancer."""
        return MIMO(partition, self.strength, self.smoothing)
