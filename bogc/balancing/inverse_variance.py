"""Inverse-variance fusion of the sources' gradients, dimension by dimension."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.fields import setting
from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Observation
from bogc.balancing.search import Uniform
from bogc.balancing.share import EVERYWHERE
from bogc.checks import check_number
from bogc.gradients import Estimate, ModalityPartition, MomentEstimator, Streaming, check_finite_step


def inverse_variance_weights(variances: Float[Tensor, "S D"], power: float = 1.0) -> Float[Tensor, "S D"]:
    """w_s proportional to v_s^-power, summing to 1 over sources (theory 6.30); equal where all v are 0."""
    tiny = torch.finfo(variances.dtype).tiny
    logarithms = variances.clamp(min=tiny).log()
    return torch.softmax(-power * logarithms, dim=0)


class InverseVariance(Balancer):
    """g_d = S sum_s w_sd g_sd with w_sd proportional to 1 / Var(g_sd): no prior, no evidence, no belief.

    The weights of least variance, were the sources independent and unbiased for one quantity (theory 6.30).
    S, the number of sources that reach the block, makes equal variances give the plain sum. A block whose
    variance is not known yet gets the plain sum too.

    Args:
        partition: Which modules belong to which modality.
        estimator: How gradient moments are estimated; Streaming by default.
        strength: Power of the variances; 0 is the plain sum.
    """

    divisible = EVERYWHERE

    def __init__(
        self, partition: ModalityPartition, estimator: MomentEstimator | None = None, strength: float = 1.0
    ) -> None:
        super().__init__(partition)
        check_number("strength", strength, strength >= 0, "must not be negative", "Use 1.")
        self.estimator = estimator or Streaming()
        self.estimator.attach(partition)
        self.strength = strength

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        blocks = self.partition.blocks
        estimates = seen.estimates(self.estimator, self.partition, state)
        values = seen.values()
        directions = {}
        for block in blocks:
            reached = [estimate for estimate in estimates.values() if block.name in estimate.means]
            if reached:
                directions[block] = self._direction(block.name, reached)
        check_finite_step(
            {f"losses[{source!r}]": [value] for source, value in values.items()}
            | {f"gradient of losses[{s!r}]": list(e.means.values()) for s, e in estimates.items()}
            | {"update": list(directions.values())}
        )
        gradients = dict(pair for block, flat in directions.items() for pair in block.split(flat))
        following = {**state, **{source: estimate.state for source, estimate in estimates.items()}}
        return Step(gradients, StepInfo.of(values), following)

    def _direction(self, name: str, reached: list[Estimate]) -> Float[Tensor, " D"]:
        means = torch.stack([estimate.means[name] for estimate in reached])
        if not all(name in estimate.moments for estimate in reached):
            return means.sum(0)
        variances = torch.stack([estimate.moments[name].noise for estimate in reached])
        return len(reached) * (inverse_variance_weights(variances, self.strength) * means).sum(0)


@dataclass(frozen=True)
class InverseVarianceSettings:
    """How the variance is estimated and how much it counts."""

    decay: float = setting(0.9, "forgetting factor of streaming moments")
    strength: float = setting(1.0, "power of the variances; 0 is the plain sum", Uniform(0.25, 1.0))

    def build(self, partition: ModalityPartition) -> InverseVariance:
        """Make the balancer."""
        return InverseVariance(partition, Streaming(self.decay), self.strength)
