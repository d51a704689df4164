"""How large a step the fused opinion allows in a dimension: kappa in [0, M]."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Evidence, Frame, SignFrame
from bogc.checks import check_type
from bogc.gradients import ONE_BLOCK, Pool
from bogc.registry import Registry

CONSERVATISMS: Final[Registry[type["Conservatism"]]] = Registry("conservatism")


class Conservatism(ABC):
    """A factor for each dimension, at most M; how it falls with uncertainty or conflict is the subclass's."""

    def check(self, frame: Frame) -> None:
        """Raise TypeMismatchError unless it has a meaning on ``frame``; by default it has on all."""
        return

    @abstractmethod
    def __call__(
        self, fused: Evidence, frame: Frame, sources: int, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*any"]:
        """Return kappa, [..., D], or [..., 1] if one opinion speaks for the block.

        Args:
            fused: Evidence of all sources together.
            frame: What it is about.
            sources: M.
            pool: What the dimensions of a block are.
        """


@CONSERVATISMS.register("fused-certainty")
@dataclass(frozen=True)
class FusedCertainty(Conservatism):
    """kappa = M (1 - u): the default. M undoes the 1/M of the weights, so certainty gives the plain sum."""

    def __call__(
        self, fused: Evidence, frame: Frame, sources: int, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*any"]:
        """See the class."""
        return frame.certainty(fused, pool).mul_(sources)


@CONSERVATISMS.register("fused-agreement")
@dataclass(frozen=True)
class FusedAgreement(Conservatism):
    """kappa = M |b+ - b-| on the sign frame: conflict, too, makes the step smaller.

    Fused uncertainty never grows (Zadeh's criticism of Dempster's rule), so 1 - u cannot see that two
    sources pull in opposite directions; the difference of the fused beliefs does.
    """

    def check(self, frame: Frame) -> None:
        """See the base class."""
        check_type("frame", frame, SignFrame, "FusedAgreement needs the sign frame; use FusedCertainty.")

    def __call__(
        self, fused: Evidence, frame: Frame, sources: int, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*any"]:
        """See the class.

        Raises:
            TypeMismatchError: The frame has no sign.
        """
        self.check(frame)
        return (fused.values[..., 0] - fused.values[..., 1]).abs_().mul_(sources) / fused.strength


@CONSERVATISMS.register("none")
@dataclass(frozen=True)
class NoConservatism(Conservatism):
    """kappa = M: only the weights calibrate, and the posterior means where they are aggregated."""

    def __call__(
        self, fused: Evidence, frame: Frame, sources: int, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*any"]:
        """See the class."""
        return torch.full_like(frame.certainty(fused, pool), sources)
