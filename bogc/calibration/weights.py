"""How much each source counts in a dimension: weights w_md >= 0 that sum to 1 over sources."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.posterior import GradientPosterior


class Weights(ABC):
    """Weights of M sources from what they believe and how precise they are."""

    @abstractmethod
    def __call__(
        self, beliefs: Float[Tensor, "M D"], posteriors: list[GradientPosterior]
    ) -> Float[Tensor, "M D"]:
        """Return weights, non-negative, summing to 1 over the sources."""


def normalise(values: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
    """Divide by the sum over sources; 1/M where all are zero."""
    total = values.sum(0)
    return torch.where(total > 0, values / total, 1 / len(values))


@dataclass(frozen=True)
class RelativeBelief(Weights):
    """w_md = b_md / sum_m b_md: our reading of uncertainty-weighted aggregation. The default."""

    def __call__(
        self, beliefs: Float[Tensor, "M D"], posteriors: list[GradientPosterior]
    ) -> Float[Tensor, "M D"]:
        """See the class."""
        return normalise(beliefs)


@dataclass(frozen=True)
class EqualWeights(Weights):
    """w = 1/M: only the posterior means and the conservatism calibrate."""

    def __call__(
        self, beliefs: Float[Tensor, "M D"], posteriors: list[GradientPosterior]
    ) -> Float[Tensor, "M D"]:
        """See the class."""
        return torch.full_like(beliefs, 1 / len(beliefs))


@dataclass(frozen=True)
class PrecisionWeights(Weights):
    """w_md proportional to Lambda_md: inverse-variance fusion, the comparator without any belief.

    The precision is the posterior's and includes the prior's 1/tau^2; it sees the unit of each loss.
    """

    def __call__(
        self, beliefs: Float[Tensor, "M D"], posteriors: list[GradientPosterior]
    ) -> Float[Tensor, "M D"]:
        """See the class; variances are divided by the smallest, so that no precision overflows."""
        variances = torch.stack([posterior.variance.expand_as(beliefs[0]) for posterior in posteriors])
        return normalise(variances.amin(0) / variances)


WEIGHTS: Final[dict[str, type[Weights]]] = {
    "relative-belief": RelativeBelief,
    "equal": EqualWeights,
    "precision": PrecisionWeights,
}
