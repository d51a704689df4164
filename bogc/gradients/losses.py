"""What ``backward`` takes: one per-sample loss vector for each source that the batch has."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from bogc.checks import check_alike, check_floating
from bogc.distributed import ProcessGroup
from bogc.errors import LossError, NonFiniteError
from bogc.gradients.partition import FUSION, ModalityPartition

PER_SAMPLE: Final = "Use reduction='none'; leave a modality out when no sample of the batch has it."


def check_losses(losses: Any, partition: ModalityPartition) -> None:
    """Raise unless ``losses`` maps known sources to differentiable vectors ``[N]``, N >= 1.

    A modality that is missing from the batch is simply absent. N may differ between sources.

    Raises:
        LossError: No mapping, no loss, no fusion loss, an unknown source, a reduced or empty loss, one of
            another shape, or one without graph.
        TypeMismatchError, DtypeError, DeviceError: A loss is no floating-point tensor, or losses live on
            several devices.
    """
    if not isinstance(losses, Mapping):
        remedy = 'Pass {"fusion": loss_of_fused_prediction, "audio": ...}, one vector [N] a source.'
        raise LossError("losses", "must map each source to its losses", type(losses).__name__, remedy)
    if FUSION not in losses:
        raise LossError(
            "losses",
            f"must contain {FUSION!r}",
            sorted(map(str, losses)),
            "Pass the loss of the fused prediction under it.",
        )
    for source, loss in losses.items():
        if source not in partition.sources:
            raise LossError(
                f"losses[{source!r}]",
                f"must be one of {list(partition.sources)}",
                source,
                "Rename it, or declare it.",
            )
        check_floating(f"losses[{source!r}]", loss)
        if loss.ndim != 1 or len(loss) == 0:
            rule, found = "must have shape [N], one loss a sample", f"shape {list(loss.shape)}"
            raise LossError(f"losses[{source!r}]", rule, found, _reshaping(list(loss.shape)))
        if loss.grad_fn is None:
            raise LossError(
                f"losses[{source!r}]",
                "must depend on the parameters",
                "a loss without graph",
                "Remove no_grad/detach.",
            )
    check_alike("losses", *(loss.detach().float() for loss in losses.values()))


def _reshaping(shape: Sequence[int]) -> str:
    """The line to add for a loss of this shape."""
    if len(shape) < 2 or 0 in shape:
        return PER_SAMPLE
    if len(shape) == 2 and shape[1] == 1:
        return "Add .squeeze(1)."
    return "Add .flatten(1).mean(1), the mean over tokens, pixels or outputs of each sample."


def check_finite_step(parts: Mapping[str, Sequence[Tensor]], team: ProcessGroup | None = None) -> None:
    """Raise NonFiniteError naming the first part of a step that has a NaN or infinite element.

    Args:
        parts: What the error would call it -> its tensors.
        team: Processes that hold other rows of the tensors: what is found in one is raised in all.

    The one read of the device in a step: a sum is finite only if all its terms are (overflow of a sum of
    finite terms is reported as well, and is as little use to an optimiser).
    """
    names = [name for name, rows in parts.items() for _ in rows]
    if not names:
        return
    finite = torch.stack([torch.isfinite(g.sum()) for rows in parts.values() for g in rows])
    if team is not None and team.size > 1:
        finite = team.sum([(~finite).float()])[0] == 0
    if not bool(finite.all()):
        bad = next(name for name, good in zip(names, finite.tolist(), strict=True) if not good)
        raise NonFiniteError(
            bad,
            "must be finite",
            "NaN or infinity",
            "Nothing was changed: look at the batch, or lower the learning rate; under fp16 skip the step.",
        )
