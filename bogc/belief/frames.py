"""Frames of discernment: what the evidence of a gradient dimension speaks about.

The paper's abstract leaves the frame open. Each choice is an object that distributes a scalar evidence over
its hypotheses and reads back what an opinion says about each dimension.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief.evidence import Evidence
from bogc.gradients import ONE_BLOCK, Pool
from bogc.posterior import GradientPosterior
from bogc.registry import Registry

FRAMES: Final[Registry[type["Frame"]]] = Registry("frame")


class Frame(ABC):
    """Hypotheses about one dimension (K hypotheses, an opinion a dimension) or about a whole block."""

    pools: ClassVar[bool] = False
    """Whether one opinion speaks for all dimensions of a block."""

    def counted(
        self, amount: Float[Tensor, "*batch D"], prior_weight: float, pool: Pool
    ) -> Float[Tensor, "*batch D"]:
        """Evidence [..., D] in the unit in which ``prior_weight`` is the frame's W: by default as it is."""
        return amount

    @abstractmethod
    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """Split the scalar evidence [..., D] over the hypotheses."""

    @abstractmethod
    def committed(self, evidence: Evidence, pool: Pool = ONE_BLOCK) -> Float[Tensor, "*batch D"]:
        """Belief that is committed to each dimension, [..., D]: what relative weights compare."""

    @abstractmethod
    def certainty(self, evidence: Evidence, pool: Pool = ONE_BLOCK) -> Float[Tensor, "*any"]:
        """1 - u, [..., D] or [..., 1]: what conservatism looks at."""


class DimensionwiseFrame(Frame):
    """One opinion a dimension: all that it commits is about that dimension."""

    def committed(self, evidence: Evidence, pool: Pool = ONE_BLOCK) -> Float[Tensor, "*batch D"]:
        """1 - u = E / (W + E), E the total evidence."""
        total = evidence.total
        return total / (total + evidence.prior_weight)

    def certainty(self, evidence: Evidence, pool: Pool = ONE_BLOCK) -> Float[Tensor, "*any"]:
        """1 - u."""
        return self.committed(evidence, pool)


def hypotheses_last(hypotheses: Sequence[Float[Tensor, "*batch D"]]) -> Float[Tensor, "*batch D K"]:
    """Stack K tensors on a last axis that is outermost in memory: sums over hypotheses add whole rows."""
    return torch.stack(list(hypotheses)).movedim(0, -1)


@FRAMES.register("sign")
@dataclass(frozen=True)
class SignFrame(DimensionwiseFrame):
    """Theta = {g > 0, g < 0}: sources that disagree on the sign are in conflict."""

    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """e+ = e Phi(mu / sqrt(v)), e- = e - e+: in proportion to the posterior probability of each sign.

        Phi(x) = (1 + erf(x / sqrt(2))) / 2.
        """
        score = posterior.variance.rsqrt().mul_(posterior.loc).mul_(sqrt(0.5))
        positive = torch.addcmul(amount, amount, score.erf_()).mul_(0.5)
        return hypotheses_last((positive, amount - positive))


@FRAMES.register("reliability")
@dataclass(frozen=True)
class ReliabilityFrame(DimensionwiseFrame):
    """Theta = {reliable, unreliable}, evidence on the first only: no conflict, and fused u is a product."""

    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """(e, 0): a simple support function."""
        return hypotheses_last((amount, torch.zeros_like(amount)))


@FRAMES.register("dimensions")
@dataclass(frozen=True)
class DimensionsFrame(Frame):
    """Theta = the D dimensions of a block, as TMC does with classes: one opinion a source and block.

    A block of one dimension is refused by ``Evidence``: merge it with another.
    """

    pools: ClassVar[bool] = True

    def distribute(
        self, amount: Float[Tensor, "*batch D"], posterior: GradientPosterior
    ) -> Float[Tensor, "*any K"]:
        """The evidence itself: K = D."""
        return amount

    def committed(self, evidence: Evidence, pool: Pool = ONE_BLOCK) -> Float[Tensor, "*batch D"]:
        """b_d = e_d / (W + E)."""
        return evidence.values / (pool.sum(evidence.values) + evidence.prior_weight)

    def certainty(self, evidence: Evidence, pool: Pool = ONE_BLOCK) -> Float[Tensor, "*any"]:
        """1 - u of the block, [..., 1]."""
        total = pool.sum(evidence.values)
        return total / (total + evidence.prior_weight)


@FRAMES.register("unit-dimensions")
@dataclass(frozen=True)
class UnitDimensionsFrame(DimensionsFrame):
    """Theta = the D dimensions of a block, W = K = D: alpha = e + 1, b_d = e_d / (D + E), u = D / (D + E).

    As in evidential deep learning and TMC, every hypothesis starts with one count. Evidence is kept as
    W e / D, so that one W serves blocks of all sizes: b, u and Dempster's rule depend on e / W alone.
    """

    def counted(
        self, amount: Float[Tensor, "*batch D"], prior_weight: float, pool: Pool
    ) -> Float[Tensor, "*batch D"]:
        """W e / D, so that u = W / (W + sum W e / D) = D / (D + E)."""
        return amount * (prior_weight / pool.sum(torch.ones_like(amount)))
