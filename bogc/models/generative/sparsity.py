"""Sparsity: a hidden unit is to be active in a small share of the samples."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number

_LEAST_ACTIVITY = 1e-6  # keeps the logarithm finite for a unit that never fires


@dataclass(frozen=True)
class Sparsity:
    """How strongly, and towards which mean activity.

    Attributes:
        weight: Factor of the penalty; 0 turns it off.
        target: Mean activity wanted, in (0, 1).
        damping: Share of the old running mean that a batch leaves, in [0, 1).

    Raises:
        RangeError: A number lies outside its range.
    """

    weight: float
    target: float
    damping: float = 0.9

    def __post_init__(self) -> None:
        check_number("weight", self.weight, self.weight >= 0, "must not be negative", "0 turns it off.")
        check_number("target", self.target, 0 < self.target < 1, "must lie in (0, 1)", "Use 0.05 to 0.1.")
        check_number("damping", self.damping, 0 <= self.damping < 1, "must lie in [0, 1)", "Use 0.9.")

    def running(self, old: Float[Tensor, " H"], hidden: Float[Tensor, "N H"]) -> Float[Tensor, " H"]:
        """Running mean activity after a batch with these hidden probabilities."""
        return self.damping * old + (1 - self.damping) * hidden.detach().mean(0)

    def bias_penalty(self, activity: Float[Tensor, " H"], bias: Float[Tensor, " H"]) -> Float[Tensor, ""]:
        """Sum over units of weight (activity - target) bias.

        Its gradient lowers the bias of a unit that fires too often, and touches nothing else.
        """
        return self.weight * ((activity.detach() - self.target) * bias).sum()

    def cross_entropy(self, hidden: Float[Tensor, "N H"]) -> Float[Tensor, ""]:
        """Sum over units of the weighted cross-entropy between target and mean activity of the batch.

        Differentiable in the hidden probabilities, and least where every mean is the target.
        """
        mean = hidden.mean(0).clamp(_LEAST_ACTIVITY, 1 - _LEAST_ACTIVITY)
        return -self.weight * (self.target * mean.log() + (1 - self.target) * (-mean).log1p()).sum()
