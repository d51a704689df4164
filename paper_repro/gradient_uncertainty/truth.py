"""The true gradient of every source: the mean over many batches, and how single batches scatter around it.

With BatchNorm in training mode, the loss of a batch depends on its own statistics, so the mean gradient of
batches is not quite the gradient of the whole training part in one batch. The mean is taken as the truth: it
is what the moments of a batch estimate, and where training goes on average. How far the other one is from it
is measured too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bogc.data import MultimodalDataset
from bogc.gradients import Block
from bogc.training.networks import Network
from bogc.training.seeding import batch_order
from bogc.training.step import per_sample_losses
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.watching import Pair, batch_gradients

NEGLIGIBLE: Final = 1e-4  # of the layer's root mean square noise: rounding of an exact zero is below it
SPARSE: Final = 0.5


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of one source's gradient in one layer, at the watched dimensions.

    Attributes:
        gradient: Mean over the reference batches, [D].
        noise: Variance of one batch's gradient around it, [D].
        whole: Gradient of the whole training part as one batch, [D].
        quiet: Share of the reference batches in which the gradient is negligible, [D].
        batches: Number of reference batches.
    """

    gradient: Float[Tensor, " D"]
    noise: Float[Tensor, " D"]
    whole: Float[Tensor, " D"]
    quiet: Float[Tensor, " D"]
    batches: int

    @classmethod
    def of(cls, rows: Float[Tensor, "R D"], whole: Float[Tensor, " D"]) -> "Truth":
        """From the gradients of R batches."""
        variance, mean = torch.var_mean(rows, 0)
        quiet = rows.abs() <= NEGLIGIBLE * variance.mean().sqrt()
        return cls(mean, variance, whole, quiet.to(rows.dtype).mean(0), len(rows))

    @property
    def alive(self) -> Bool[Tensor, " D"]:
        """Dimensions that ever have a gradient; a bias before BatchNorm, for one, has none."""
        return self.quiet < 1

    @property
    def sparse(self) -> Bool[Tensor, " D"]:
        """Alive dimensions without a gradient in more than half of the batches: those of rare words."""
        return self.alive & (self.quiet > SPARSE)

    @property
    def scale(self) -> float:
        """Mean square of the gradient over the layer, positive."""
        return max(float(self.gradient.square().mean()), 1e-30)

    @property
    def uncertainty(self) -> float:
        """What u would be on average if noise and scale were known: noise / (scale + noise)."""
        noise = self.noise[self.alive]
        return float((noise / (self.scale + noise)).mean())


def batches_for(samples: int, config: UncertaintyConfig, least: int, seed: int) -> list[Tensor]:
    """At least ``least`` batches, in whole passes over the samples."""
    found: list[Tensor] = []
    while len(found) < least:
        found += batch_order(samples, config.batch_size, seed, len(found))
    return found


def find_truth(
    model: Network,
    train: MultimodalDataset,
    blocks: Sequence[Block],
    positions: Mapping[str, Tensor],
    batches: Sequence[Tensor],
) -> dict[Pair, Truth]:
    """Measure the truth of every pair; the model stays in training mode."""

    def gradients(indices: Tensor) -> dict[Pair, Tensor]:
        batch = train.take(indices)
        losses = per_sample_losses(model(batch.inputs), batch.targets)
        return batch_gradients(losses, blocks, positions)

    seen = [gradients(indices) for indices in batches]
    whole = gradients(torch.arange(len(train)))
    return {pair: Truth.of(torch.stack([row[pair] for row in seen]), whole[pair]) for pair in whole}
