"""Exponentially weighted mean and variance of a gradient over steps, bias-corrected (West 1979)."""

from collections.abc import Sequence
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
        (updated,) = update_all([self], [observation], decay)
        return updated


def update_all(
    past: Sequence[RunningMoments], observations: Sequence[Tensor], decay: float
) -> list[RunningMoments]:
    """Take one observation [D] into each of ``past``, D differing; few operations for many small tensors."""
    updated: dict[int, RunningMoments] = {}
    for members in alike(past).values():
        chosen = [past[i] for i in members]
        old = decay * chosen[0].weight
        weight = old + 1.0
        delta = torch._foreach_sub([observations[i] for i in members], [moments.mean for moments in chosen])
        means = torch._foreach_add([moments.mean for moments in chosen], delta, alpha=1 / weight)
        scatters = torch._foreach_mul([moments.scatter for moments in chosen], decay)
        torch._foreach_addcmul_(scatters, delta, delta, value=old / weight)
        squared = decay**2 * chosen[0].squared_weight + 1.0
        for i, mean, scatter in zip(members, means, scatters, strict=True):
            updated[i] = RunningMoments(mean, scatter, weight, squared, past[i].steps + 1)
    return [updated[i] for i in range(len(past))]


def alike(past: Sequence[RunningMoments]) -> dict[tuple[float, float, int], list[int]]:
    """Indices of moments with the same weights, which one set of factors fits."""
    groups: dict[tuple[float, float, int], list[int]] = {}
    for i, moments in enumerate(past):
        groups.setdefault((moments.weight, moments.squared_weight, moments.steps), []).append(i)
    return groups
