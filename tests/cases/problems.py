"""A two-modal network around any encoder, and what the cases share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients import ModalityPartition
from bogc.methods import BOGC, Balancer, InverseVariance, JacobianDescent, MMPareto, UnimodalSum

BALANCERS: dict[str, Callable[[ModalityPartition], Balancer]] = {
    "sum": UnimodalSum,
    "bogc": BOGC,
    "inverse-variance": InverseVariance,
    "mmpareto": MMPareto,
    "jacobian-descent": lambda partition: JacobianDescent(partition, lambda rows: rows.mean(0)),
}


class Pair(nn.Module):
    """Any encoder of the first modality to 4 features, a linear one of the second, heads and a fusion."""

    def __init__(self, encoder: nn.Module | None = None, features: int = 4) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(5, 4), nn.Tanh()) if encoder is None else encoder
        self.sound = nn.Linear(3, features)
        self.image_head, self.sound_head = nn.Linear(features, 2), nn.Linear(features, 2)
        self.fused = nn.Linear(2 * features, 2)

    def forward(self, image: Tensor, sound: Tensor) -> dict[str, Tensor]:
        a, b = self.image(image), self.sound(sound)
        logits = {"fusion": self.fused(torch.cat([a, b], 1)), "image": self.image_head(a)}
        return {**logits, "sound": self.sound_head(b)}

    def partition(self) -> ModalityPartition:
        modalities = {"image": (self.image, self.image_head), "sound": (self.sound, self.sound_head)}
        return ModalityPartition(modalities, shared=self.fused, model=self)


def batch(step: int, samples: int = 8, shape: tuple[int, ...] = (5,)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    image = torch.randn(samples, *shape, generator=generator)
    sound, targets = (
        torch.randn(samples, 3, generator=generator),
        torch.randint(2, (samples,), generator=generator),
    )
    return image, sound, targets


def losses_of(
    network: Callable, step: int = 0, samples: int = 8, shape: tuple[int, ...] = (5,)
) -> dict[str, Tensor]:
    image, sound, targets = batch(step, samples, shape)
    image = image.to(torch.get_default_dtype())
    return cross_entropies(network(image, sound), targets)


def cross_entropies(logits: dict[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
    return {s: functional.cross_entropy(z, targets, reduction="none") for s, z in logits.items()}


def train(
    network: nn.Module, balancer: Balancer, losses: Callable[[int], dict[str, Tensor]], steps: int = 6
) -> None:
    """A few steps; every gradient must be finite."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    for step in range(steps):
        optimiser.zero_grad()
        balancer.backward(losses(step))
        for name, parameter in network.named_parameters():
            assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
        optimiser.step()


def single(losses: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """autograd's gradient of the sum of the mean losses."""
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    total = torch.stack([loss.mean() for loss in losses.values()]).sum()
    found = torch.autograd.grad(total, list(named.values()), retain_graph=True, allow_unused=True)
    return {name: g.to_dense() for name, g in zip(named, found, strict=True) if g is not None}
