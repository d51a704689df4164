"""The length of the update, once every block has its direction."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from bogc.gradients.groups import WIDTH
from bogc.registry import Registry

SCALINGS: Final[Registry[type["Scaling"]]] = Registry("scaling")

Directions = Mapping[str, Float[Tensor, " _"]]


class Scaling(ABC):
    """A factor for each block, which may be one for all."""

    @abstractmethod
    def factors(self, lengths: Float[Tensor, " B"], plain: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Return the factors of B directions from their lengths and those of the plain sums."""

    @final
    def __call__(self, directions: Directions, plain: Directions) -> dict[str, Tensor]:
        """Rescale ``directions``; ``plain`` holds the plain sums of the same blocks. A zero stays zero."""
        lengths = torch.stack([length(value) for value in directions.values()])
        own = torch.stack([length(plain[name]) for name in directions])
        factors = self.factors(lengths, own)
        return {name: direction * f for (name, direction), f in zip(directions.items(), factors, strict=True)}


def length(values: Float[Tensor, " D"]) -> Float[Tensor, ""]:
    """Length of the direction of one block, added up row by row as that of all blocks at once."""
    rows = functional.pad(values, (0, -len(values) % WIDTH)).view(-1, WIDTH)
    squares = torch.linalg.vector_norm(rows, dim=-1).square_()
    index = torch.zeros(len(squares), dtype=torch.int64, device=squares.device)
    total: Tensor = squares.new_zeros(1).index_add_(0, index, squares)
    return total[0].sqrt()


@SCALINGS.register("unscaled")
@dataclass(frozen=True)
class Unscaled(Scaling):
    """As calibrated. Shrinkage makes steps shorter, which acts like a smaller learning rate."""

    def factors(self, lengths: Float[Tensor, " B"], plain: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """See the class."""
        return torch.ones_like(lengths)


@SCALINGS.register("match-plain-sum")
@dataclass(frozen=True)
class MatchPlainSum(Scaling):
    """To the norm of the plain sum: calibration changes the direction, never the effective learning rate.

    The price: an update in which hardly anything is believed has full length too.
    """

    def factors(self, lengths: Float[Tensor, " B"], plain: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """See the class; 0 if all directions are zero."""
        length = torch.linalg.vector_norm(lengths)
        factor = torch.where(length > 0, torch.linalg.vector_norm(plain) / length, 0)
        return factor.expand_as(lengths)


@SCALINGS.register("match-each-block")
@dataclass(frozen=True)
class MatchEachBlock(Scaling):
    """Each block to the norm of its own plain sum: calibration changes directions within a layer only.

    Under one common factor, a layer whose gradients are uncertain moves less than one whose gradients are
    certain, so a noisy modality falls behind a clear one, which is the imbalance that balancing is to mend.
    """

    def factors(self, lengths: Float[Tensor, " B"], plain: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """See the class; 0 for a zero direction."""
        return torch.where(lengths > 0, plain / lengths, 0)
