"""OGM-GE number by number: as its released training loop computes it, and as theory 6.1 to 6.4 state it.

The released loop has two encoders and one head: a linear layer on the concatenated features, or one linear
layer for each modality, added. Nothing here is shared with the library but autograd of the mean loss.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Noise = Callable[[Tensor, float], Tensor]  # a gradient, for its shape, and a standard deviation -> a draw


def true_class_probability(logits: Sequence[float], target: int) -> float:
    top = max(logits)
    powers = [math.exp(z - top) for z in logits]
    return powers[target] / sum(powers)


def score(logits: Array, targets: Sequence[int]) -> float:
    return sum(true_class_probability(list(row), target) for row, target in zip(logits, targets, strict=True))


def array(tensor: Tensor) -> Array:
    return tensor.detach().double().cpu().numpy()


def own_logits(features: Sequence[Tensor], head: Sequence[nn.Linear]) -> list[Array]:
    """Logits of each modality alone: half the bias of a concatenating head, all of its own layer's bias."""
    if len(head) == 2:
        pairs = zip(features, head, strict=True)
        return [array(x) @ array(layer.weight).T + array(layer.bias) for x, layer in pairs]
    weight, bias = array(head[0].weight), array(head[0].bias)
    middle = weight.shape[1] // 2
    return [
        array(features[0]) @ weight[:, :middle].T + bias / 2,
        array(features[1]) @ weight[:, middle:].T + bias / 2,
    ]


def fused_logits(features: Sequence[Tensor], head: Sequence[nn.Linear]) -> Tensor:
    if len(head) == 2:
        return head[0](features[0]) + head[1](features[1])
    return head[0](torch.cat(list(features), dim=1))


def released_coefficients(first: float, second: float, alpha: float) -> tuple[float, float]:
    """One modality is always slowed, the first one at a tie: the loop asks only whether the second leads."""
    ratio = second / first
    if ratio > 1:
        return 1.0, 1 - math.tanh(alpha * ratio)
    return 1 - math.tanh(alpha / ratio), 1.0


def deviation(gradient: Tensor) -> float:
    """Standard deviation, N - 1 below, over the elements of one tensor as it was before any factor."""
    numbers = gradient.flatten().tolist()
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1))


def released_gradients(
    encoders: Sequence[nn.Module],
    head: Sequence[nn.Linear],
    inputs: Sequence[Tensor],
    targets: Tensor,
    alpha: float,
    noise: Noise | None,
) -> dict[nn.Parameter, Tensor]:
    """Gradient of every parameter; noise is drawn encoder by encoder, None leaves it out."""
    features = [encoder(x) for encoder, x in zip(encoders, inputs, strict=True)]
    chosen = fused_logits(features, head).log_softmax(1)[torch.arange(len(targets)), targets]
    parameters = [p for module in (*encoders, *head) for p in module.parameters()]
    gradients = dict(zip(parameters, torch.autograd.grad(-chosen.mean(), parameters), strict=True))
    scores = [score(z, targets.tolist()) for z in own_logits(features, head)]
    for encoder, coefficient in zip(encoders, released_coefficients(*scores, alpha), strict=True):
        for parameter in encoder.parameters():
            if parameter.ndim == 4:
                joint = gradients[parameter]
                gradients[parameter] = joint * coefficient
                if noise is not None:
                    gradients[parameter] = gradients[parameter] + noise(joint, deviation(joint) + 1e-8)
    return gradients


def ratios(scores: Sequence[float]) -> list[float]:
    """Theory 6.3: each score over the mean of the others; for two modalities 6.1."""
    others = [[s for i, s in enumerate(scores) if i != m] for m in range(len(scores))]
    return [s * len(rest) / sum(rest) for s, rest in zip(scores, others, strict=True)]


def coefficients(scores: Sequence[float], alpha: float) -> list[float]:
    """Theory 6.4."""
    return [1 - math.tanh(alpha * ratio) if ratio > 1 else 1.0 for ratio in ratios(scores)]
