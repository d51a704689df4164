"""The true gradient of every loss in every layer: the mean over many batches, and how single ones scatter."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bogc.gradients import ModalityPartition, Successive

NEGLIGIBLE: Final = 1e-4  # of the layer's root mean square noise: rounding of an exact zero is below it
ROUNDING: Final = 1e-7  # of the noisiest layer's: a layer whose gradient is rounding alone
FEWEST: Final = 0.2  # of a layer's dimensions alive, or it is not judged

Gradients = dict[tuple[str, str], Tensor]
"""Loss and layer to the gradient [D] of the mean loss."""


def gradients(losses: Mapping[str, Tensor], partition: ModalityPartition) -> Gradients:
    """Differentiate the mean of each loss, layer by layer."""
    found: Gradients = {}
    for group in Successive().measure(losses, partition, 1.0, {}):
        found |= group.layout.take(group.gradients)
    return found


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of one gradient, [D].

    Attributes:
        gradient: Mean over the reference batches.
        noise: Variance of one batch's gradient around it.
        alive: Dimensions that have a gradient in some batch; a bias before BatchNorm, for one, has none.
        batches: Number of reference batches.
    """

    gradient: Float[Tensor, " D"]
    noise: Float[Tensor, " D"]
    alive: Bool[Tensor, " D"]
    batches: int

    @classmethod
    def of(cls, rows: Float[Tensor, "R D"]) -> "Truth":
        """From the gradients of R batches."""
        noise, mean = torch.var_mean(rows, 0)
        alive = rows.abs().amax(0) > NEGLIGIBLE * noise.mean().sqrt()
        return cls(mean, noise, alive, len(rows))

    @property
    def signal(self) -> Tensor:
        """tau^2: mean square of the true gradient over the layer, without the noise that is left in it."""
        return (self.gradient.square().mean() - self.noise.mean() / self.batches).clamp_min(0)

    def uncertainties(self) -> dict[str, float]:
        """True u in its three readings; see the README."""
        level, root = self.noise.mean(), self.noise.sqrt()
        shaped = self.signal * root / root.mean()
        return {
            "ratio": float(level / (level + self.signal)),
            "flat": float((self.noise / (self.noise + self.signal))[self.alive].mean()),
            "root": float((self.noise / (self.noise + shaped))[self.alive].mean()),
        }


@dataclass(frozen=True, eq=False)
class Truths:
    """What is known at one moment of training.

    Attributes:
        pairs: Of each loss in each layer; those without a gradient left out.
        sums: Of the sum of the losses in each layer, if it has one for all losses that reach it.
        correlations: By layer, of the noise of the first two losses that reach it, mean over dimensions.
    """

    pairs: dict[tuple[str, str], Truth]
    sums: dict[str, Truth]
    correlations: dict[str, float]


def find_truth(measure: Callable[[Tensor], Gradients], batches: Iterable[Tensor]) -> Truths:
    """Measure the truth from the gradients of batches, given by the indices of their samples."""
    found = [measure(indices) for indices in batches]
    rows = {pair: torch.stack([gradient[pair] for gradient in found]) for pair in found[0]}
    every = {pair: Truth.of(values) for pair, values in rows.items()}
    least = ROUNDING**2 * max(float(truth.noise.mean()) for truth in every.values())
    pairs = {
        pair: truth
        for pair, truth in every.items()
        if float(truth.alive.double().mean()) >= FEWEST and float(truth.noise.mean()) > least
    }
    sums, correlations = {}, {}
    for layer in dict.fromkeys(layer for _, layer in rows):
        own = [pair for pair in rows if pair[1] == layer]
        if all(pair in pairs for pair in own):
            sums[layer] = Truth.of(torch.stack([rows[pair] for pair in own]).sum(0))
            if len(own) > 1:
                correlations[layer] = correlation(rows[own[0]], rows[own[1]], sums[layer].alive)
    return Truths(pairs, sums, correlations)


def correlation(first: Float[Tensor, "R D"], second: Float[Tensor, "R D"], kept: Bool[Tensor, " D"]) -> float:
    """Mean over the kept dimensions of the correlation over rows."""
    x, y = (values[:, kept] - values[:, kept].mean(0) for values in (first, second))
    found = (x * y).sum(0) / (x.square().sum(0) * y.square().sum(0)).sqrt()
    return float(found.nanmean())


def reference_batches(samples: int, batch_size: int, number: int, seed: int) -> list[Tensor]:
    """Random batches, each drawn anew without replacement."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(samples, generator=generator)[:batch_size] for _ in range(number)]


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Let a network's buffers change, BatchNorm's statistics among them, and put them back."""
    before = [buffer.clone() for buffer in model.buffers()]
    yield
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.copy_(value)
