"""Loss and measure of the released code for segmentation."""

from typing import Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from bogc.methods.tasks import Task, check_classes

WEIGHTS: Final = (0.2, 0.3, 0.25, 0.25)
"""Of the classes in the cross-entropy."""
REGIONS: Final = ((3,), (1, 3), (1, 2, 3))
"""Enhancing tumour, tumour core, whole tumour: which classes they are of."""


def segmentation_loss(logits: Float[Tensor, "N 4 H W"], targets: Int64[Tensor, "N H W"]) -> Float[Tensor, ""]:
    """Half the weighted mean cross-entropy, half 1 less the overlap of classes 1 to 3.

    The overlap is 2 sum(p t) / (sum(p) + sum(t) + 0.01), each sum over classes, pixels and the whole batch,
    so it is no mean over samples.
    """
    check_classes(logits, targets)
    weights = torch.tensor(WEIGHTS, dtype=logits.dtype, device=logits.device)
    entropy = functional.cross_entropy(logits, targets, weights)
    shares = logits.softmax(1)[:, 1:]
    marked = functional.one_hot(targets, logits.shape[1]).movedim(-1, 1)[:, 1:].to(shares.dtype)
    overlap = 2 * (shares * marked).sum() / (shares.sum() + marked.sum() + 0.01)
    return 0.5 * entropy + 0.5 * (1 - overlap)


def dice(logits: Float[Tensor, "N 4 H W"], targets: Int64[Tensor, "N H W"]) -> Float[Tensor, " N"]:
    """Mean over the three regions of 2 (|A and B| + e) / (|A| + |B| + 2 e), e = 0.001, of every slice."""
    predicted = logits.argmax(1)
    scores = []
    for region in REGIONS:
        members = torch.tensor(region, device=targets.device)
        found, true = (torch.isin(each, members).double() for each in (predicted, targets))
        both = (found * true).sum((1, 2)) + 1e-3
        scores.append(2 * both / (found.sum((1, 2)) + true.sum((1, 2)) + 2e-3))
    return torch.stack(scores).mean(0)


def _mean_dice(logits: Tensor, targets: Tensor) -> Tensor:
    return dice(logits, targets).mean()


SEGMENTATION: Final = Task(segmentation_loss, _mean_dice)
"""What CGGM's classifiers are trained on, and how their progress is measured."""
