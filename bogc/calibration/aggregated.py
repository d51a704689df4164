"""What of each source is weighted and summed: its posterior mean, or its batch mean."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from jaxtyping import Float
from torch import Tensor

from bogc.gradients import GradientMoments
from bogc.posterior import GradientPosterior


class Aggregated(ABC):
    """One vector a source."""

    @abstractmethod
    def __call__(self, moments: GradientMoments, posterior: GradientPosterior) -> Float[Tensor, " D"]:
        """Return it, [D]."""


@dataclass(frozen=True)
class PosteriorMean(Aggregated):
    """mu_m = b_m g_m: what is believed shrinks the source, then weighs it, so belief counts twice (5.4)."""

    def __call__(self, moments: GradientMoments, posterior: GradientPosterior) -> Float[Tensor, " D"]:
        """See the class."""
        return posterior.loc


@dataclass(frozen=True)
class BatchMean(Aggregated):
    """g_m itself: belief counts once, as weight, and the fused opinion decides how much is kept (5.39)."""

    def __call__(self, moments: GradientMoments, posterior: GradientPosterior) -> Float[Tensor, " D"]:
        """See the class; in the posterior's dtype."""
        return moments.mean.to(posterior.loc.dtype)


AGGREGATED: Final[dict[str, type[Aggregated]]] = {"posterior-mean": PosteriorMean, "batch-mean": BatchMean}
