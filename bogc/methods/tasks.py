"""What CGGM's classifiers are trained on, and how their progress is measured, by kind of target."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from bogc.errors import DtypeError, ShapeError

IGNORED: Final = -1


@dataclass(frozen=True)
class Task:
    """A loss and a figure of merit.

    Attributes:
        loss: (predictions [N, ...], targets [N, ...]) -> mean loss, a scalar.
        merit: (predictions, targets) -> scalar, larger is better. CGGM takes ratios of its changes, so its
            unit does not matter; those below are float64, as the sum of changes is often nearly zero.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    merit: Callable[[Tensor, Tensor], Tensor]


def check_classes(predictions: Tensor, targets: Tensor) -> None:
    """Raise unless ``targets`` is one class for each prediction; their range is not read.

    A negative class, as an ``ignore_index`` is, means that the prediction does not count.

    Args:
        predictions: Logits [N, C, ...].
        targets: int64, [N, ...].

    Raises:
        DtypeError: Targets are not int64.
        ShapeError: They have another shape.
    """
    if targets.dtype != torch.int64:
        remedy = (
            "Convert classes with .long(); soft targets need another method, and numbers CGGM's REGRESSION."
        )
        raise DtypeError("targets", "must be int64 class indices", targets.dtype, remedy)
    expected = [len(predictions), *predictions.shape[2:]]
    if list(targets.shape) != expected:
        rule = f"must have shape {expected}, a class for each prediction"
        remedy = "Pass those of this batch; several classes a sample need another method."
        raise ShapeError("targets", rule, list(targets.shape), remedy)


def _cross_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    check_classes(predictions, targets)
    known = targets.clamp(min=IGNORED)
    total = functional.cross_entropy(predictions, known, ignore_index=IGNORED, reduction="sum")
    return total / (targets >= 0).sum().clamp(min=1)


def _right(predictions: Tensor, targets: Tensor) -> Tensor:
    return (predictions.argmax(1) == targets).double().sum() / (targets >= 0).sum().clamp(min=1)


def _absolute_error(predictions: Tensor, targets: Tensor) -> Tensor:
    return (predictions - _like(predictions, targets)).abs().mean()


def _closeness(predictions: Tensor, targets: Tensor) -> Tensor:
    return -_absolute_error(predictions, targets).double()


def _same_sign(predictions: Tensor, targets: Tensor) -> Tensor:
    return ((predictions > 0) == (_like(predictions, targets) > 0)).double().mean()


def _like(predictions: Tensor, targets: Tensor) -> Tensor:
    """Targets in the shape of the predictions: [N] against [N, 1] would broadcast to [N, N]."""
    if targets.numel() != predictions.numel():
        rule = f"must have as many elements as the predictions, {list(predictions.shape)}"
        raise ShapeError("targets", rule, list(targets.shape), "Pass one number a prediction.")
    return targets.reshape(predictions.shape)


CLASSIFICATION: Final = Task(_cross_entropy, _right)
"""Logits [N, C] with classes [N], or per pixel: logits [N, C, ...] with classes [N, ...]."""

REGRESSION: Final = Task(_absolute_error, _closeness)
"""Predictions and targets with the same number of elements; mean absolute error."""

SENTIMENT: Final = Task(_absolute_error, _same_sign)
"""Signed scores: mean absolute error, and the share with the right sign, as CGGM's released code has it."""
