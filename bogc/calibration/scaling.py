"""The length of the update, once every block has its direction."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

Directions = Mapping[str, Float[Tensor, " _"]]


class Scaling(ABC):
    """A factor for each block, which may be one for all."""

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


@dataclass(frozen=True)
class MatchEachBlock(Scaling):
    """Each block to the norm of its own plain sum: calibration changes directions within a layer only.

    Under one common factor, a layer whose gradients are uncertain moves less than one whose gradients are
    certain, so a noisy modality falls behind a clear one, which is the imbalance that balancing is to mend.
    """

    def __call__(self, directions: Directions, plain: Directions) -> dict[str, Tensor]:
        """See the class; a zero update stays zero."""
        return {name: _at_norm(direction, plain[name].norm()) for name, direction in directions.items()}


def _at_norm(direction: Tensor, norm: Tensor) -> Tensor:
    length = direction.norm()
    return direction * torch.where(length > 0, norm / length, 0)


def _norm(directions: Directions) -> Tensor:
    return torch.stack([direction.square().sum() for direction in directions.values()]).sum().sqrt()


SCALINGS: Final[dict[str, type[Scaling]]] = {
    "unscaled": Unscaled,
    "match-plain-sum": MatchPlainSum,
    "match-each-block": MatchEachBlock,
}
