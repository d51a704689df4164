"""Exponentially weighted mean and variance of a gradient over steps, bias-corrected (West 1979)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class RunningMoments:
    """Weighted moments of a stream: the newest observation weighs 1, each older one ``decay`` times less.

    Attributes:
        mean: Weighted mean, [D].
        scatter: Weighted sum of squared deviations, [D].
        weight: Sum of the weights.
        squared_weight: Sum of the squared weights.
        steps: Observations seen.
    """

    mean: Float[Tensor, " D"]
    scatter: Float[Tensor, " D"]
    weight: float = 0.0
    squared_weight: float = 0.0
    steps: int = 0

    @classmethod
    def empty(cls, like: Float[Tensor, " D"]) -> "RunningMoments":
        """No observation yet."""
        return cls(torch.zeros_like(like), torch.zeros_like(like))

    @property
    def effective_count(self) -> float:
        """Kish's effective number of observations, (sum w)^2 / sum w^2."""
        return self.weight**2 / self.squared_weight

    @property
    def degrees_of_freedom(self) -> float:
        """Effective count less one; 0 before the second observation."""
        return self.effective_count - 1 if self.steps > 1 else 0.0

    @property
    def variance(self) -> Float[Tensor, " D"]:
        """Unbiased variance of one observation: scatter / (sum w - sum w^2 / sum w)."""
        return self.scatter / (self.weight - self.squared_weight / self.weight)

    def update(self, observation: Float[Tensor, " D"], decay: float) -> "RunningMoments":
        """Take in one observation; O(D), no difference of large numbers."""
        old = decay * self.weight
        weight = old + 1.0
        delta = observation - self.mean
        return type(self)(
            mean=self.mean + delta / weight,
            scatter=decay * self.scatter + delta.square() * (old / weight),
            weight=weight,
            squared_weight=decay**2 * self.squared_weight + 1.0,
            steps=self.steps + 1,
        )
