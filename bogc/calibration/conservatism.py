"""How large a step the fused opinion allows in a dimension: kappa in [0, M]."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Frame, Opinion, SignFrame
from bogc.checks import check_type


class Conservatism(ABC):
    """A factor for each dimension, at most M; how it falls with uncertainty or conflict is the subclass's."""

    @abstractmethod
    def __call__(self, fused: Opinion, frame: Frame, sources: int) -> Float[Tensor, "*any"]:
        """Return kappa, [D] or [1] if one opinion speaks for the block."""


@dataclass(frozen=True)
class FusedCertainty(Conservatism):
    """kappa = M (1 - u): the default. M undoes the 1/M of the weights, so certainty gives the plain sum."""

    def __call__(self, fused: Opinion, frame: Frame, sources: int) -> Float[Tensor, "*any"]:
        """See the class."""
        return sources * frame.certainty(fused)


@dataclass(frozen=True)
class FusedAgreement(Conservatism):
    """kappa = M |b+ - b-| on the sign frame: conflict, too, makes the step smaller.

    Fused uncertainty never grows (Zadeh's criticism of Dempster's rule), so 1 - u cannot see that two
    sources pull in opposite directions; the difference of the fused beliefs does.
    """

    def __call__(self, fused: Opinion, frame: Frame, sources: int) -> Float[Tensor, "*any"]:
        """See the class.

        Raises:
            TypeMismatchError: The frame has no sign.
        """
        check_type("frame", frame, SignFrame, "FusedAgreement needs the sign frame; use FusedCertainty.")
        return sources * (fused.belief[..., 0] - fused.belief[..., 1]).abs()


@dataclass(frozen=True)
class NoConservatism(Conservatism):
    """kappa = M: the shrinkage of the posterior means alone."""

    def __call__(self, fused: Opinion, frame: Frame, sources: int) -> Float[Tensor, "*any"]:
        """See the class."""
        return torch.full_like(frame.certainty(fused), sources)


CONSERVATISMS: Final[dict[str, type[Conservatism]]] = {
    "fused-certainty": FusedCertainty,
    "fused-agreement": FusedAgreement,
    "none": NoConservatism,
}
