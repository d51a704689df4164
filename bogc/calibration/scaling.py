"""The length of the whole update, once every block has its direction."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

Directions = Mapping[str, Float[Tensor, " _"]]


class Scaling(ABC):
    """A common factor for all blocks."""

    @abstractmethod
    def __call__(self, directions: Directions, plain: Directions) -> dict[str, Tensor]:
        """Rescale ``directions``; ``plain`` holds the plain sums of the same blocks."""


@dataclass(frozen=True)
class Unscaled(Scaling):
    """As calibrated. Shrinkage makes steps shorter, which acts like a smaller learning rate."""

    def __call__(self, directions: Directions, plain: Directions) -> dict[str, Tensor]:
        """See the class."""
        return dict(directions)


@dataclass(frozen=True)
class MatchPlainSum(Scaling):
    """To the norm of the plain sum: calibration changes the direction, never the effective learning rate.

    The price: an update in which hardly anything is believed has full length too.
    """

    def __call__(self, directions: Directions, plain: Directions) -> dict[str, Tensor]:
        """See the class; a zero update stays zero."""
        length = _norm(directions)
        factor = torch.where(length > 0, _norm(plain) / length, 0)
        return {name: direction * factor for name, direction in directions.items()}


def _norm(directions: Directions) -> Tensor:
    return torch.stack([direction.square().sum() for direction in directions.values()]).sum().sqrt()


SCALINGS: Final[dict[str, type[Scaling]]] = {"unscaled": Unscaled, "match-plain-sum": MatchPlainSum}
