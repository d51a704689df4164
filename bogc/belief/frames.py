"""Frames of discernment: what the evidence of a gradient dimension speaks about.

The paper's abstract leaves the frame open. Each choice is an object that distributes a scalar evidence over
its hypotheses and reads back what an opinion says about each dimension.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief.opinion import Opinion
from bogc.posterior import GradientPosterior


class Frame(ABC):
    """Hypotheses about one dimension (K hypotheses, an opinion a dimension) or about a whole block."""

    @abstractmethod
    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """Split the scalar evidence [..., D] over the hypotheses."""

    @abstractmethod
    def belief_per_dimension(self, opinion: Opinion) -> Float[Tensor, "*batch D"]:
        """Belief that the source commits to each dimension, [..., D]: what relative weights compare."""

    @abstractmethod
    def certainty(self, opinion: Opinion) -> Float[Tensor, "*any"]:
        """1 - u, [..., D] or [..., 1]: what conservatism looks at. A sum of beliefs, so exact when small."""


class DimensionwiseFrame(Frame):
    """One opinion a dimension: all that it commits is about that dimension."""

    def belief_per_dimension(self, opinion: Opinion) -> Float[Tensor, "*batch D"]:
        """1 - u."""
        return opinion.belief.sum(-1)

    def certainty(self, opinion: Opinion) -> Float[Tensor, "*any"]:
        """1 - u."""
        return opinion.belief.sum(-1)


def hypotheses_last(values: list[Float[Tensor, "*batch D"]]) -> Float[Tensor, "*batch D K"]:
    """Stack on a last axis that is outermost in memory: sums over K then add whole rows, 4 times faster."""
    return torch.stack(values).movedim(0, -1)


@dataclass(frozen=True)
class SignFrame(DimensionwiseFrame):
    """Theta = {g > 0, g < 0}: sources that disagree on the sign are in conflict."""

    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """e+ = e Phi(mu / sqrt(v)), e- = e - e+: in proportion to the posterior probability of each sign."""
        positive = torch.special.ndtr(posterior.loc / posterior.scale)
        return hypotheses_last([amount * positive, amount * (1 - positive)])


@dataclass(frozen=True)
class ReliabilityFrame(DimensionwiseFrame):
    """Theta = {reliable, unreliable}, evidence on the first only: no conflict, and fused u is a product."""

    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """(e, 0): a simple support function."""
        return hypotheses_last([amount, torch.zeros_like(amount)])


@dataclass(frozen=True)
class DimensionsFrame(Frame):
    """Theta = the D dimensions of a block, as TMC does with classes: one opinion a source and block.

    A block of one dimension is refused by ``Evidence``: merge it with another.
    """

    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """The evidence itself: K = D."""
        return amount

    def belief_per_dimension(self, opinion: Opinion) -> Float[Tensor, "*batch D"]:
        """b_d."""
        return opinion.belief

    def certainty(self, opinion: Opinion) -> Float[Tensor, "*any"]:
        """1 - u of the block, [..., 1]."""
        return opinion.belief.sum(-1, keepdim=True)


FRAMES: Final[dict[str, type[Frame]]] = {
    "sign": SignFrame,
    "reliability": ReliabilityFrame,
    "dimensions": DimensionsFrame,
}
