"""The true gradient of every source: the mean over many batches, and how single batches scatter around it.

With BatchNorm in training mode, the loss of a batch depends on its own statistics, so the mean gradient of
batches is not quite the gradient of the whole training part in one batch. The mean is taken as the truth: it
is what the moments of a batch estimate, and where training goes on average. How far the other one is from it
is measured too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bogc.gradients import GradientMoments
from bogc.training.seeding import batch_order
from paper_repro.gradient_uncertainty.measures import kept_mean

NEGLIGIBLE: Final = 1e-4  # of the layer's root mean square noise: rounding of an exact zero is below it
SPARSE: Final = 0.5


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the gradient of P pairs of a layer and a source, at D dimensions.

    Attributes:
        gradient: Mean over the reference batches, [P, D].
        noise: Variance of one batch's gradient around it, [P, D].
        whole: Gradient of the whole training part as one batch, [P, D].
        quiet: Share of the reference batches in which the gradient is negligible, [P, D].
        batches: Number of reference batches.
    """

    gradient: Float[Tensor, "P D"]
    noise: Float[Tensor, "P D"]
    whole: Float[Tensor, "P D"]
    quiet: Float[Tensor, "P D"]
    batches: int

    @classmethod
    def of(cls, rows: Float[Tensor, "R P D"], whole: Float[Tensor, "P D"]) -> "Truth":
        """From the gradients of R batches."""
        variance, mean = torch.var_mean(rows, 0)
        quiet = rows.abs() <= NEGLIGIBLE * variance.mean(-1, keepdim=True).sqrt()
        return cls(mean, variance, whole, quiet.to(rows.dtype).mean(0), len(rows))

    @property
    def alive(self) -> Bool[Tensor, "P D"]:
        """Dimensions that ever have a gradient; a bias before BatchNorm, for one, has none."""
        return self.quiet < 1

    @property
    def sparse(self) -> Bool[Tensor, "P D"]:
        """Alive dimensions without a gradient in more than half of the batches: those of rare words."""
        return self.alive & (self.quiet > SPARSE)

    @property
    def scale(self) -> Float[Tensor, "P 1"]:
        """Mean square of the gradient over the layer, positive."""
        return self.gradient.square().mean(-1, keepdim=True).clamp_min(1e-30)

    @property
    def uncertainty(self) -> Float[Tensor, " P"]:
        """What u would be on average if noise and scale were known: noise / (scale + noise)."""
        return kept_mean(self.noise / (self.scale + self.noise), self.alive)

    @property
    def distance(self) -> Float[Tensor, " P"]:
        """Root mean square of whole - gradient, over that of the noise."""
        return ((self.whole - self.gradient).square().mean(-1) / self.noise.mean(-1)).sqrt()

    def known_noise(self, observed: GradientMoments) -> GradientMoments:
        """Replace the variances that were estimated from each batch, [B, P, D], by the true ones."""
        df = torch.full_like(observed.count, self.batches - 1)
        return GradientMoments.unchecked(
            mean=observed.mean,
            scatter=self.noise * observed.count * df,
            count=observed.count,
            degrees_of_freedom=df,
        )


def passes(samples: int, batch_size: int, least: int, seed: int) -> list[Tensor]:
    """At least ``least`` random batches, in whole passes over the samples."""
    found: list[Tensor] = []
    epoch = 0
    while len(found) < least:
        found += batch_order(samples, batch_size, seed, epoch)
        epoch += 1
    return found


def find_truth(gradients: Callable[[Tensor], Tensor], batches: Sequence[Tensor], samples: int) -> Truth:
    """Measure the truth.

    Args:
        gradients: Indices of a batch to its gradients, [P, D].
        batches: Indices of the reference batches.
        samples: Number of training samples.
    """
    rows = torch.stack([gradients(indices) for indices in batches])
    return Truth.of(rows, gradients(torch.arange(samples)))
