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


def mean_cotangent(losses: Float[Tensor, " N"]) -> Float[Tensor, "1 N"]:
    """Return the cotangent 1/N of the batch mean."""
    return torch.full_like(losses, 1 / len(losses)).unsqueeze(0)


def sample_cotangents(losses: Float[Tensor, " N"]) -> Float[Tensor, "N N"]:
    """Return the unit vectors: row i selects the gradient of sample i."""
    return torch.eye(len(losses), dtype=losses.dtype, device=losses.device)


def group_cotangents(losses: Float[Tensor, " N"], groups: int) -> Float[Tensor, "C N"]:
    """Return one row a group: the mean over every C-th sample, sizes differing by at most one.

    A loader that shuffles makes interleaved groups random; no further draw is needed.
    """
    members = torch.arange(len(losses), device=losses.device) % groups
    mask = (members == torch.arange(groups, device=losses.device).unsqueeze(1)).to(losses.dtype)
    return mask / mask.sum(1, keepdim=True)
