"""How long, how fast and with how much momentum to train."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bogc.checks import check_number


@dataclass(frozen=True)
class Schedule:
    """Published schedule of Sohn, Shang and Lee (2014) on the halves of MNIST digits.

    Attributes:
        epochs: Passes over the data.
        batch_size: Samples a step; an incomplete last batch is left out, unless it is the only one.
        rate: Learning rate before decay.
        decay: The rate of epoch t, counted from 1, is rate / (1 + decay t).
        early_momentum: Momentum of the early epochs.
        late_momentum: Momentum afterwards.
        early_epochs: Number of early epochs.
        l2: Weight decay: l2 / 2 times the squared weights is added to the loss; biases are free.

    Raises:
        RangeError: A number lies outside its range.
    """

    epochs: int = 300
    batch_size: int = 100
    rate: float = 0.01
    decay: float = 0.005
    early_momentum: float = 0.33
    late_momentum: float = 0.47
    early_epochs: int = 5
    l2: float = 1e-4

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, self.epochs >= 1, "must be at least 1", "Use 300.")
        check_number("batch_size", self.batch_size, self.batch_size >= 1, "must be at least 1", "Use 100.")
        check_number("rate", self.rate, self.rate > 0, "must be positive", "Use 0.01.")
        for name in ("decay", "early_epochs", "l2"):
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "0 turns it off.")
        for name in ("early_momentum", "late_momentum"):
            value = getattr(self, name)
            check_number(name, value, 0 <= value < 1, "must lie in [0, 1)", "0 turns it off.")

    def rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 1."""
        return self.rate / (1 + self.decay * epoch)

    def momentum_at(self, epoch: int) -> float:
        """Momentum of an epoch, counted from 1."""
        return self.late_momentum if epoch > self.early_epochs else self.early_momentum


PUBLISHED = Schedule()


@torch.no_grad()
def momentum_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    velocities: Sequence[Tensor],
    rate: float,
    momentum: float,
) -> None:
    """Change velocities and parameters in place: v <- momentum v + (1 - momentum) rate g, then p <- p - v."""
    for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
        velocity.mul_(momentum).add_(gradient, alpha=(1 - momentum) * rate)
        parameter.sub_(velocity)
