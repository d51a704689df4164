"""How much each source counts in a dimension: weights w_md >= 0 that sum to 1 over sources."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number, check_real
from bogc.gradients.groups import sum_of
from bogc.posterior import GradientPosterior
from bogc.registry import Registry

WEIGHTS: Final[Registry[type["Weights"]]] = Registry("weights")


class Weights(ABC):
    """Weights of M sources from what they believe and how precise they are."""

    of_sources: ClassVar[bool] = False
    """Whether it compares 1 - u, of a block where one opinion speaks for it, rather than single beliefs."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Weights":
        """Make it from a configuration's settings by name; by default it has none of its own."""
        return cls()

    @abstractmethod
    def __call__(
        self, beliefs: Float[Tensor, "M *any D"], posterior: GradientPosterior
    ) -> Float[Tensor, "M *any D"]:
        """Return weights, non-negative, summing to 1 over the sources.

        Args:
            beliefs: What each source commits to each dimension; 1 - u where ``of_sources`` is set.
            posterior: Of all sources, [M, ..., D].
        """


def normalise(values: Float[Tensor, "M *any D"]) -> Float[Tensor, "M *any D"]:
    """Divide by the sum over sources, in float32 at least; 1/M where all are zero."""
    wide = torch.promote_types(values.dtype, torch.float32)
    shares = values.to(wide) + torch.finfo(wide).tiny
    return shares.div_(sum_of(shares)).to(values.dtype)


@WEIGHTS.register("relative-belief")
@dataclass(frozen=True)
class RelativeBelief(Weights):
    """w_md = b_md / sum_m b_md: our reading of uncertainty-weighted aggregation. The default."""

    def __call__(
        self, beliefs: Float[Tensor, "M *any D"], posterior: GradientPosterior
    ) -> Float[Tensor, "M *any D"]:
        """See the class."""
        return normalise(beliefs)


@WEIGHTS.register("equal")
@dataclass(frozen=True)
class EqualWeights(Weights):
    """w = 1/M: only the conservatism calibrates, and the posterior means where they are aggregated."""

    def __call__(
        self, beliefs: Float[Tensor, "M *any D"], posterior: GradientPosterior
    ) -> Float[Tensor, "M *any D"]:
        """See the class."""
        return torch.full_like(beliefs, 1 / len(beliefs))


@WEIGHTS.register("precision")
@dataclass(frozen=True)
class PrecisionWeights(Weights):
    """w_md proportional to Lambda_md: inverse-variance fusion, the comparator without any belief.

    The precision is the posterior's and includes the prior's 1/tau^2; it sees the unit of each loss.
    """

    def __call__(
        self, beliefs: Float[Tensor, "M *any D"], posterior: GradientPosterior
    ) -> Float[Tensor, "M *any D"]:
        """See the class; variances are divided by the smallest, so that no precision overflows."""
        return normalise(posterior.variance.amin(0) / posterior.variance)


@WEIGHTS.register("mixed-certainty")
@dataclass(frozen=True)
class MixedCertainty(Weights):
    """w_m = (1 - eta)/M + eta (1 - u_m) / sum_m (1 - u_m): as in GUPO (arXiv 2608.17411, best eta .1).

    One weight a source in frames with one opinion a block; GUPO's frame is the dimensions.

    Attributes:
        mix: eta in [0, 1]; 0 is equal weights.
    """

    mix: float = 0.1
    of_sources: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(mix=self.mix)
        check_number("mix", self.mix, 0 <= self.mix <= 1, "must lie in [0, 1]", "Use 0.1.")

    def __call__(
        self, beliefs: Float[Tensor, "M *any D"], posterior: GradientPosterior
    ) -> Float[Tensor, "M *any D"]:
        """See the class."""
        return self.mix * normalise(beliefs) + (1 - self.mix) / len(beliefs)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Weights":
        """Take ``mix``."""
        return cls(settings["mix"])
