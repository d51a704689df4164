"""What ``backward`` takes: one per-sample loss vector for each source that the batch has."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bogc.checks import check_alike, check_floating
from bogc.errors import LossError, NonFiniteError
from bogc.gradients.partition import FUSION, ModalityPartition


def check_losses(losses: Mapping[str, Tensor], partition: ModalityPartition) -> None:
    """Raise unless ``losses`` maps known sources to differentiable vectors ``[N]``, N >= 1.

    A modality that is missing from the batch is simply absent. N may differ between sources.

    Raises:
        LossError: No loss, no fusion loss, an unknown source, a reduced or empty loss, or one without graph.
        DtypeError, DeviceError: A loss is not floating point, or losses live on several devices.
    """
    if FUSION not in losses:
        raise LossError(
            "losses",
            f"must contain {FUSION!r}",
            sorted(losses),
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
            raise LossError(
                f"losses[{source!r}]",
                "must have shape [N], one loss a sample",
                f"shape {list(loss.shape)}",
                "Use reduction='none'; leave a modality out when no sample of the batch has it.",
            )
        if loss.grad_fn is None:
            raise LossError(
                f"losses[{source!r}]",
                "must depend on the parameters",
                "a loss without graph",
                "Remove no_grad/detach.",
            )
    check_alike("losses", *(loss.detach().float() for loss in losses.values()))


def check_finite_step(parts: Mapping[str, Sequence[Tensor]]) -> None:
    """Raise NonFiniteError naming the first part of a step that has a NaN or infinite element.

    Args:
        parts: What the error would call it -> its tensors.

    The one read of the device in a step: a sum is finite only if all its terms are (overflow of a sum of
    finite terms is reported as well, and is as little use to an optimiser).
    """
    finite = [torch.isfinite(g.sum()) for rows in parts.values() for g in rows]
    if finite and not bool(torch.stack(finite).all()):
        names = [name for name, rows in parts.items() for _ in rows]
        bad = next(name for name, good in zip(names, finite, strict=True) if not bool(good))
        raise NonFiniteError(
            bad,
            "must be finite",
            "NaN or infinity",
            "Nothing was changed: look at the batch, or lower the learning rate; under fp16 skip the step.",
        )
