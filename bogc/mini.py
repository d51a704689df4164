"""The whole method on one page: gradients, posterior, evidence, opinion, Dempster, calibrated update.

It is what ``bogc.BOGC`` computes with its defaults, layer by layer, for constant batch sizes and without its
checks and speed; a test holds the two together. Numbers in brackets are equations of theory/.

    mini = MiniBOGC([list(layer.parameters()) for layer in layers])
    mini.backward({"fusion": fusion_losses, "audio": audio_losses})  # one loss a sample; fills .grad
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

DECAY, FAST, MODERATION, FLOOR, W, TINY = 0.95, 0.8, 10.0, 0.03, 2.0, 1e-30


@dataclass
class Past:
    """What is remembered of one source in one layer: its last gradient [D], squares [D], and four numbers."""

    gradient: Tensor
    squares: Tensor
    mean_square: float | Tensor = 0.0
    recent: float | Tensor = 0.0
    product: float | Tensor = 0.0
    root: float | Tensor = 0.0
    steps: int = 1


def count(decay: float, steps: int) -> float:
    """1 + decay + decay^2 + ...: how many observations a discounted sum over ``steps`` of them holds."""
    return (1 - decay**steps) / (1 - decay)


def observe(past: Past, g: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Noise variance v [D] of a batch's gradient, and the prior variance tau^2 [D] of the true one.

    Numbers of the whole layer are those of the steps before, so that a draw does not judge itself.
    """
    n, before = count(DECAY, past.steps), max(past.steps - 1, 1)
    variance = past.mean_square / count(DECAY, before)  # of one sample, mean over the layer
    level = (past.recent / count(FAST, before) + TINY) / (variance + TINY)  # (1.29)
    signal = torch.as_tensor(past.product / count(DECAY, max(past.steps - 2, 1)))  # (1.28)
    root = torch.as_tensor(past.root).clamp_min(TINY)
    signal = signal.maximum(root * (FLOOR / samples)).minimum(root * (1e6 / samples))

    past.squares = DECAY * past.squares + samples / 2 * (g - past.gradient) ** 2  # (1.27)
    least = torch.as_tensor(MODERATION * variance * level).clamp_min(TINY)
    v = (level * past.squares + least) / ((n + MODERATION) * samples)
    tau2 = signal * (level * samples) ** 0.5 * v.sqrt()

    unit = (samples / level) ** 0.5
    if past.steps >= 2:
        past.product = DECAY * past.product + (g * past.gradient / v.sqrt()).mean() / unit
        past.root = v.sqrt().mean() * unit
    new = samples / 2 * ((g - past.gradient) ** 2).mean()
    past.recent, past.mean_square = FAST * past.recent + new, DECAY * past.mean_square + new
    past.gradient, past.steps = g, past.steps + 1
    return v, tau2


def posterior(g: Tensor, v: Tensor, tau2: Tensor) -> tuple[Tensor, Tensor]:
    """Normal(b g, b v) with the shrinkage b = tau^2 / (tau^2 + v) (1.2)."""
    b = tau2 / (tau2 + v)
    return b * g, b * v


def evidence(mean: Tensor, variance: Tensor, tau2: Tensor) -> Tensor:
    """W (Lambda / Lambda_0 - 1), shared between "g > 0" and "g < 0" by the posterior: [2, D] (2.1)."""
    amount = (W * tau2 / variance - W).clamp(0, 1e18)
    positive = amount * (1 + torch.erf(mean / (2 * variance).sqrt())) / 2
    return torch.stack([positive, amount - positive])


def belief(e: Tensor) -> Tensor:
    """1 - u = E / (W + E), E the evidence for both signs: what the opinion commits (3.5)."""
    total = e.sum(0)
    return total / (total + W)


def dempster(first: Tensor, second: Tensor) -> Tensor:
    """Dempster's rule on two opinions, as evidence: 1 + e/W = (1 + e1/W)(1 + e2/W), sign by sign (4.14)."""
    return first + second + first * second / W


def calibrated(gradients: list[Tensor], evidences: list[Tensor]) -> Tensor:
    """kappa sum_m w_m g_m with w_m = b_m / sum b and kappa = M (1 - u) of the fused opinion (5.1, 5.39)."""
    fused = evidences[0]
    for other in evidences[1:]:
        fused = dempster(fused, other)
        if len(evidences) > 2:
            fused = fused * (1e18 / fused.sum(0)).clamp(max=1)  # u is 0 to rounding; products stay finite
    beliefs = torch.stack([belief(e) for e in evidences]) + torch.finfo(fused.dtype).tiny
    kappa = len(gradients) * belief(fused)
    return kappa * (beliefs / beliefs.sum(0) * torch.stack(gradients)).sum(0)


@dataclass
class MiniBOGC:
    """The method over steps.

    Attributes:
        layers: The parameters of each layer; a layer has one prior for each source.
        past: What is remembered, by layer and source.
    """

    layers: list[list[torch.nn.Parameter]]
    past: dict[tuple[int, str], Past] = field(default_factory=dict)

    def backward(self, losses: dict[str, Tensor]) -> None:
        """Add the calibrated gradient to ``.grad`` from one loss a sample, [N], and source."""
        parameters = [p for layer in self.layers for p in layer]
        found = {}
        for source, loss in losses.items():
            gradients = torch.autograd.grad(loss.mean(), parameters, retain_graph=True, allow_unused=True)
            found[source] = {id(p): g for p, g in zip(parameters, gradients, strict=True) if g is not None}
        for index, layer in enumerate(self.layers):
            reached = [s for s, own in found.items() if any(id(p) in own for p in layer)]
            if reached:
                rows = [
                    torch.cat([found[s].get(id(p), torch.zeros_like(p)).flatten() for p in layer])
                    for s in reached
                ]
                self._add(layer, self._layer(index, reached, rows, [len(losses[s]) for s in reached]))

    def _layer(self, index: int, sources: list[str], gradients: list[Tensor], samples: list[int]) -> Tensor:
        """Update of one layer, at the length of the plain sum (5.37)."""
        evidences = []
        for source, g, n in zip(sources, gradients, samples, strict=True):
            past = self.past.get((index, source))
            if past is None:
                self.past[index, source] = Past(g, torch.zeros_like(g))
                continue
            steps = past.steps
            v, tau2 = observe(past, g, n)
            if steps >= 3:  # one difference for the noise, then one product for the prior
                evidences.append(evidence(*posterior(g, v, tau2), tau2))
        plain = torch.stack(gradients).sum(0)
        if len(evidences) < len(gradients):
            return plain
        direction = calibrated(gradients, evidences)
        return direction * (plain.norm() / direction.norm()) if direction.any() else direction

    @torch.no_grad()
    def _add(self, layer: list[torch.nn.Parameter], update: Tensor) -> None:
        for p, part in zip(layer, update.split([p.numel() for p in layer]), strict=True):
            p.grad = part.view_as(p) if p.grad is None else p.grad + part.view_as(p)
