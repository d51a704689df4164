"""A network whose gradients are known functions of its last layers, and the draws that bogc makes of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bogc.gradients import Drawn, GradientGroup, ModalityPartition, Reevaluation
from theory.support.prescribed import Numbers


class Bilinear:
    """Losses w_i (theta B_m phi_m + |phi_m + 1|^2 / 2) of two sources, each with its own last layer phi_m.

    Weights have the mean 1: the gradient in theta is B_m phi_m, that in phi_m is theta B_m + phi_m + 1.

    Args:
        parameters: Size of each last layer.
        unit: Factor of all losses.
    """

    def __init__(self, parameters: int = 2, unit: float = 1.0) -> None:
        draw = torch.Generator().manual_seed(4)
        self.slopes = torch.randn(2, 3, parameters, generator=draw, dtype=torch.float64)
        self.weights = torch.rand(2, 5, generator=draw, dtype=torch.float64) + 0.5
        self.weights /= self.weights.mean(1, keepdim=True)
        self.unit, self.encoder = unit, Numbers(3)
        self.heads = {"fusion": Numbers(parameters), "audio": Numbers(parameters)}
        for module in (self.encoder, *self.heads.values()):
            with torch.no_grad():
                module.values[0].copy_(torch.randn(module.flat.shape, generator=draw, dtype=torch.float64))
        own = {"audio": [self.encoder, self.heads["audio"]]}
        self.partition = ModalityPartition(own, shared=[self.heads["fusion"]])

    def closure(self) -> dict[str, Tensor]:
        """Losses of both sources."""
        theta, found = self.encoder.flat, {}
        for m, (source, head) in enumerate(self.heads.items()):
            loss = theta @ self.slopes[m] @ head.flat + (head.flat + 1).square().sum() / 2
            found[source] = self.unit * self.weights[m] * loss
        return found

    def measured(self, draws: int, damping: float, seed: int) -> list[GradientGroup]:
        """What ``Drawn`` measures of it."""
        again = Reevaluation(self.closure, self.partition)
        estimator = Drawn(draws, damping, seed, self.heads).bound(again, 0)
        return estimator.measure(again.losses, self.partition, 1.0, {})

    def scores(self, m: int) -> Tensor:
        """Gradients of the samples of a source in its last layer, [N, P]."""
        head = list(self.heads.values())[m].flat
        slope = self.encoder.flat @ self.slopes[m] + head + 1
        return (self.unit * self.weights[m, :, None] * slope).detach()


def normals(shapes: Mapping[str, torch.Size], draws: int, seed: int, step: int = 0) -> dict[str, Tensor]:
    """The standard Normal numbers that ``Drawn`` takes at a step: by source, [S, P]."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    found: dict[str, list[Tensor]] = {name: [] for name in shapes}
    for _ in range(draws):
        for name, shape in shapes.items():
            found[name].append(torch.randn(shape, generator=generator, dtype=torch.float64))
    return {name: torch.stack(rows) for name, rows in found.items()}
