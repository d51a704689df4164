"""Rows of gradients of a vector of per-sample losses, as vector-Jacobian products.

With losses ``l`` of shape [N] and a cotangent ``c`` of shape [N], one backward pass gives the gradient of
``c . l``. A unit vector selects one sample, a normalised mask one group, and 1/N the batch mean. The graph
is that of the whole batch, so BatchNorm, attention over the batch and shared weights are all exact, and the
mean of the per-sample rows is the batch gradient by linearity.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def vector_jacobian_products(
    losses: Float[Tensor, " N"],
    parameters: Sequence[Tensor],
    cotangents: Float[Tensor, "rows N"],
    *,
    vectorize: bool = False,
) -> list[Tensor | None]:
    """Return for each parameter the rows ``cotangents @ dl/dp``, shape [rows, *parameter.shape].

    None stands for a parameter that the losses do not reach. The graph is kept, so that further sources can
    be differentiated; it is freed with the losses.

    Args:
        losses: One loss a sample.
        parameters: The leaves to differentiate with respect to.
        cotangents: One row a backward pass.
        vectorize: Do all rows in one vectorised pass. Faster for many rows of matrix products and on GPUs;
            slower for convolutions on CPU, where each row is a full pass anyway; and not every operator has
            a batching rule.
    """
    if vectorize and len(cotangents) > 1:
        return list(
            torch.autograd.grad(
                losses, parameters, cotangents, retain_graph=True, allow_unused=True, is_grads_batched=True
            )
        )
    passes = [
        torch.autograd.grad(losses, parameters, row, retain_graph=True, allow_unused=True)
        for row in cotangents
    ]
    if len(passes) == 1:
        return [None if gradient is None else gradient.unsqueeze(0) for gradient in passes[0]]
    columns = zip(*passes, strict=True)
    return [None if column[0] is None else torch.stack(column) for column in columns]


def mean_cotangent(losses: Float[Tensor, " N"], count: int | None = None) -> Float[Tensor, "1 N"]:
    """Return the cotangent 1/N of the batch mean; ``count`` is N of a batch that ``losses`` are part of."""
    return torch.full_like(losses, 1 / (count or len(losses))).unsqueeze(0)


def sample_cotangents(losses: Float[Tensor, " N"]) -> Float[Tensor, "N N"]:
    """Return the unit vectors: row i selects the gradient of sample i."""
    return torch.eye(len(losses), dtype=losses.dtype, device=losses.device)


def group_sizes(first: int, count: int, groups: int) -> tuple[int, ...]:
    """How many of the samples numbered ``first`` to ``first + count - 1`` fall into each group, [C]."""

    def below(number: int, group: int) -> int:
        return (number - group + groups - 1) // groups

    return tuple(below(first + count, group) - below(first, group) for group in range(groups))


def group_cotangents(
    losses: Float[Tensor, " N"], groups: int, first: int = 0, counts: Sequence[int] | None = None
) -> Float[Tensor, "C N"]:
    """Return one row a group: the mean over every C-th sample, sizes differing by at most one.

    A loader that shuffles makes interleaved groups random; no further draw is needed.

    Args:
        losses: One loss a sample.
        groups: C.
        first: Number of the first sample in a batch that ``losses`` are part of.
        counts: Samples of each group in that batch, [C]; by default, those of ``losses`` are all.
    """
    members = (torch.arange(len(losses), device=losses.device) + first) % groups
    mask = (members == torch.arange(groups, device=losses.device).unsqueeze(1)).to(losses.dtype)
    sizes = counts or group_sizes(first, len(losses), groups)
    return mask / mask.new_tensor(sizes).clamp(min=1).unsqueeze(1)
