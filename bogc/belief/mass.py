"""Mass functions on the power set of a frame."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief.dirichlet import sum_tolerance, uniform_base_rate
from bogc.belief.opinion import Opinion
from bogc.checks import Unchecked, check_finite, check_floating, check_type, check_values
from bogc.errors import FrameError, MassSumError, ShapeError


@dataclass(frozen=True, eq=False)
class MassFunction(Unchecked):
    """Basic belief assignment m: 2^Theta -> [0, 1] (Shafer 1976).

    Attributes:
        values: m, [..., 2**K]; bit k of the index says whether hypothesis k is in the subset, so index 0 is
            the empty set, 2**k the singleton k, and the last index the frame. m(empty) = 0.

    Raises:
        MassSumError, RangeError, FrameError, NonFiniteError, ShapeError, DtypeError: The values break these
            rules.
    """

    values: Float[Tensor, "*batch P"]

    def __post_init__(self) -> None:
        check_floating("mass", self.values)
        subsets = self.values.shape[-1] if self.values.ndim else 0
        if subsets < 4 or subsets & (subsets - 1):
            error = FrameError if subsets in (1, 2) else ShapeError
            raise error(
                "mass", "must have 2**K entries on its last axis, K >= 2", subsets, "Index subsets by bits."
            )
        check_finite("mass", self.values)
        check_values("mass", "must not be negative", self.values, self.values >= 0, "Masses are shares of 1.")
        total = self.values.sum(-1)
        valid = (total - 1).abs() <= sum_tolerance(total)
        check_values("mass", "must sum to 1", total, valid, "Divide it by its sum.", MassSumError)
        empty = self.values[..., 0]
        valid = empty <= sum_tolerance(empty)
        check_values("mass of the empty set", "must be 0", empty, valid, "Normalise it away.", MassSumError)

    @property
    def hypotheses(self) -> int:
        """K."""
        return int(self.values.shape[-1]).bit_length() - 1

    @classmethod
    def from_opinion(cls, opinion: Opinion) -> "MassFunction":
        """Put b_k on the singletons and u on the frame.

        Raises:
            TypeMismatchError: ``opinion`` is not an Opinion.
        """
        check_type("opinion", opinion, Opinion, "Use Opinion.from_dirichlet(dirichlet).")
        hypotheses = opinion.belief.shape[-1]
        values = opinion.belief.new_zeros(*opinion.belief.shape[:-1], 2**hypotheses)
        values[..., singletons(hypotheses, values.device)] = opinion.belief
        values[..., -1] = opinion.uncertainty
        return cls.unchecked(values=values)

    def to_opinion(self, base_rate: Float[Tensor, "*rate K"] | None = None) -> Opinion:
        """Inverse of from_opinion. Reads the device.

        Raises:
            MassSumError: Some mass lies on a subset that is neither a singleton nor the frame.
        """
        index = singletons(self.hypotheses, self.values.device)
        belief, uncertainty = self.values[..., index], self.values[..., -1]
        total = belief.sum(-1) + uncertainty
        valid = (total - 1).abs() <= sum_tolerance(total)
        remedy = "An opinion cannot hold mass on other subsets; take the pignistic probability."
        check_values("mass on singletons and frame", "must sum to 1", total, valid, remedy, MassSumError)
        return Opinion(belief, uncertainty, uniform_base_rate(belief) if base_rate is None else base_rate)


def singletons(hypotheses: int, device: torch.device) -> Tensor:
    """Indices 1, 2, 4, ... of the singletons."""
    return 2 ** torch.arange(hypotheses, device=device)
