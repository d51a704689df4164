"""CGGM number by number: as its released training loop computes it, and as theory 6.6 to 6.9 state it.

The released loop takes the cosine between weights of output layers. Its loss is added one step late, when
the weights have moved on; its gradient was fixed when it was made, and is here written out by hand.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


def array(tensor: Tensor) -> Array:
    return tensor.detach().double().cpu().numpy()


def cosine(x: Array, y: Array) -> float:
    return float((x * y).sum() / (math.sqrt((x * x).sum()) * math.sqrt((y * y).sum())))


def cosine_gradient(x: Array, y: Array) -> Array:
    """With respect to y."""
    lengths = math.sqrt((x * x).sum()) * math.sqrt((y * y).sum())
    return x / lengths - cosine(x, y) * y / (y * y).sum()


def released_balance(gains: Sequence[float]) -> list[float]:
    total = sum(gains) + 1e-8
    return [(total - gain) / total for gain in gains]


def class_accuracy(logits: Tensor, targets: Tensor) -> float:
    hits = [
        max(range(len(row)), key=row.__getitem__) == t
        for row, t in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    return sum(hits) / len(hits)


@dataclass
class ReleasedLoop:
    """The state of the loop: accuracies of the step before, and the direction loss that waits.

    Args:
        classifiers: One for each modality, on detached features.
        outputs: The weight of each classifier's output layer.
        optimizer: Of the classifiers.
        criterion: Mean loss of logits and targets.
        accuracy: Of logits and targets.
    """

    classifiers: Sequence[nn.Module]
    outputs: Sequence[nn.Parameter]
    optimizer: torch.optim.Optimizer
    rho: float
    lam: float
    clip: float
    criterion: Callable[[Tensor, Tensor], Tensor]
    accuracy: Callable[[Tensor, Tensor], float] = class_accuracy
    merits: list[float] = field(default_factory=list)
    waiting: list[tuple[str, slice, Array]] = field(default_factory=list)
    balance: list[float] = field(default_factory=list)

    def step(
        self,
        named: Mapping[str, nn.Parameter],
        encoder_of: Mapping[str, int],
        meets: Sequence[tuple[str, slice]],
        logits: Tensor,
        features: Sequence[Tensor],
        targets: Tensor,
    ) -> dict[str, Array]:
        """Clipped gradients of the network by name; the classifiers have taken their step afterwards.

        ``meets`` is where each modality meets the fused output weights: a parameter and its columns. The
        released network has one output layer that all of them meet.
        """
        drawn = torch.autograd.grad(self.criterion(logits, targets), list(named.values()))
        found = {name: array(g).copy() for name, g in zip(named, drawn, strict=True)}
        for name, columns, pull in self.waiting:
            found[name][:, columns] += self.lam * pull
        guesses = [c(x.detach().clone()) for c, x in zip(self.classifiers, features, strict=True)]
        self._judge({name: array(named[name]) for name, _ in meets}, meets, guesses, targets)
        self._teach(guesses, targets)
        for name, m in encoder_of.items():
            found[name] *= self.balance[m] * self.rho
        length = math.sqrt(sum(float((g * g).sum()) for g in found.values()))
        shrink = min(1.0, self.clip / (length + 1e-6))
        return {name: g * shrink for name, g in found.items()}

    def _judge(
        self,
        weights: Mapping[str, Array],
        meets: Sequence[tuple[str, slice]],
        guesses: Sequence[Tensor],
        targets: Tensor,
    ) -> None:
        modalities = len(self.classifiers)
        before = self.merits or [0.0] * modalities
        self.merits = [self.accuracy(z, targets) for z in guesses]
        self.balance = released_balance([now - then for now, then in zip(self.merits, before, strict=True)])
        self.waiting = []
        for factor, output, (name, columns) in zip(self.balance, self.outputs, meets, strict=True):
            pull = -factor * cosine_gradient(array(output), weights[name][:, columns]) / modalities
            self.waiting.append((name, columns, pull))

    def _teach(self, guesses: Sequence[Tensor], targets: Tensor) -> None:
        self.optimizer.zero_grad()
        for guess in guesses:
            self.criterion(guess, targets).backward()
        self.optimizer.step()


def balance(gains: Sequence[float]) -> list[float]:
    """Theory 6.6, which has no value where the gains sum to zero."""
    return [(sum(gains) - gain) / sum(gains) for gain in gains]


def guarded_balance(gains: Sequence[float], floor: float) -> list[float]:
    """Theory 6.8."""
    positive = [max(gain, 0.0) for gain in gains]
    return [1 - (gain + floor / len(gains)) / (sum(positive) + floor) for gain in positive]


def direction_loss(factors: Sequence[float], fused: Array, own: Sequence[Array]) -> float:
    """Theory 6.9, the left of its two forms."""
    pairs = zip(factors, own, strict=True)
    return sum(abs(b) - b * cosine(g, fused) for b, g in pairs) / len(factors)
