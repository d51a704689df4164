"""CGGM as in its released code, where it departs from the paper."""

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bogc.checks import check_number, check_real
from bogc.errors import UnsuitableError
from bogc.gradients import ModalityPartition
from bogc.methods.base import Balancer
from bogc.methods.batch import BatchView, Gradients
from bogc.methods.cggm import (
    CGGMSettings,
    ClassifierGuided,
    Verdict,
    classifiers_of,
    cosines,
    direction_loss,
    released_balance,
)
from bogc.methods.registry import Job, method
from bogc.methods.tasks import CLASSIFICATION, Task

Weights = Callable[[], Mapping[str, Tensor]]
"""-> the fused head's output weights for each modality, with their graph to the head's parameters."""


@final
class ReleasedCGGM(ClassifierGuided):
    """Output *weights* are compared, not gradients, and their direction loss acts one step late.

    So the direction loss pulls only on the fused head. B has no guard. In the first step the merits before
    count as zero. For a concatenating head, whose weight is larger than a classifier's, the modality's own
    slice stands for it. The released training clips the gradient, which is all that keeps an unguarded B
    from ending it; the clipping is therefore part of this spelling.

    Args:
        partition: Which modules belong to which modality.
        classifiers: Modality -> module that ends in a linear layer shaped like the head's slice.
        optimiser: Trains the classifiers.
        weights: The head's output weights, such as ``model.fusion.weights``.
        rho: Factor of all B.
        direction: lambda, weight of the direction loss.
        strength: From joint training (0) to CGGM (1).
        clip: Largest norm of the whole gradient; 0: no clipping.
        task: Loss and merit of the classifiers.

    Raises:
        ConfigError: A classifier has no linear layer, or its last one and the head differ in size.
    """

    def __init__(
        self,
        partition: ModalityPartition,
        classifiers: nn.ModuleDict,
        optimiser: Optimizer,
        weights: Weights,
        rho: float = 1.3,
        direction: float = 0.2,
        strength: float = 1.0,
        clip: float = 0.8,
        task: Task = CLASSIFICATION,
    ) -> None:
        super().__init__(partition, classifiers, optimiser, rho, direction, strength, task)
        check_real(clip=clip)
        check_number("clip", clip, clip >= 0, "must not be negative", "Use 0.8, or 0 for no clipping.")
        self.weights = weights
        self.clip = clip
        for modality, weight in weights().items():
            own = _last_weight(classifiers[modality])
            if own.numel() != weight.numel():
                rule = f"must end in a weight of {weight.numel()} elements, as the fused head"
                remedy = "Give it the head's shape, or use CGGM, which compares gradients."
                raise UnsuitableError(f"classifiers[{modality!r}]", rule, own.numel(), remedy)

    def balance(self, merits: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        gains = torch.stack([merit - before.get(m, torch.zeros_like(merit)) for m, merit in merits.items()])
        return dict(zip(merits, released_balance(gains), strict=True))

    def guided(
        self, seen: BatchView, balance: Mapping[str, Tensor], verdict: Verdict, state: Mapping[str, Any]
    ) -> tuple[Gradients, Mapping[str, Any]]:
        """See the base class."""
        gradients = dict(seen.differentiate(seen.fusion))
        for parameter, pull in zip(self._head(), state.get("pull", []), strict=False):
            if parameter in gradients:
                gradients[parameter] = gradients[parameter] + self.direction * pull
        weights = self.weights()
        own = [_last_weight(self.classifiers[m]).detach() for m in balance]
        compared = torch.stack([cosines(weights[m], [v])[0] for m, v in zip(balance, own, strict=True)])
        loss = direction_loss(torch.stack(list(balance.values())), compared)
        pulls = torch.autograd.grad(loss, self._head(), allow_unused=True)
        head = zip(self._head(), pulls, strict=True)
        return gradients, {"pull": [torch.zeros_like(p) if g is None else g for p, g in head]}

    def finish(self, gradients: Gradients) -> Gradients:
        """See the base class."""
        if self.clip == 0 or not gradients:
            return gradients
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        factor = (self.clip / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        return {parameter: factor * gradient for parameter, gradient in gradients.items()}

    def _head(self) -> list[nn.Parameter]:
        return [p for block in self.partition.blocks if block.modality == "shared" for p in block.parameters]


def _last_weight(classifier: nn.Module) -> Tensor:
    """Weight of the last linear layer.

    Raises:
        ConfigError: There is none.
    """
    linear = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    if not linear:
        remedy = "Add one, or use CGGM, which compares gradients."
        raise UnsuitableError("classifiers", "must have a linear layer", type(classifier).__name__, remedy)
    return linear[-1].weight


@method(
    "cggm-released",
    summary="CGGM as released: output weights compared, no guard",
    paper="released code of arXiv 2411.01409",
    needs="fusion loss, outputs, targets; own classifiers",
    passes="1, and 1 of the classifiers",
    settings=CGGMSettings,
    table="cggm",
)
def _released_cggm(job: Job) -> Balancer:
    own, weights = job.settings, job.classifier.fusion.weights
    return ReleasedCGGM(
        job.model.partition(), *classifiers_of(job), weights, own.rho, own.direction, own.strength, own.clip
    )
