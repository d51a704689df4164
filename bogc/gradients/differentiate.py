"""Separate gradients of several losses, one backward pass each, over what it reaches and no more.

The passes share the forward pass and its graph, which is that of the whole batch, so BatchNorm, attention
over
the batch, recurrence and shared weights are all exact. With losses ``l`` [N] and a cotangent ``c`` [N], one
pass gives the gradient of ``c . l``: 1/N is the batch mean, a unit vector one sample, a mask one group.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.errors import LossError, UnsuitableError

Reached = dict[int, Tensor]
"""Id of a parameter -> its gradient; parameters that the loss does not reach are absent."""

OVER_PROCESSES: Final = ("SyncBatchNorm", "SumOverProcesses", "_AllReduce")
"""How the names of operations begin that exchange values with other processes, going back too."""

_TROUBLE: Final = {
    "donated buffers": (
        UnsuitableError,
        "must be compiled without donated buffers, as it is differentiated once a source",
        "Set torch._functorch.config.donated_buffer = False before the compiled network is first called.",
    ),
    "checkpoint": (
        UnsuitableError,
        "must be checkpointed in a way that autograd.grad can enter",
        "Call torch.utils.checkpoint.checkpoint(..., use_reentrant=False).",
    ),
    "second time": (
        LossError,
        "must have a graph that was not used before",
        "Compute the losses anew; backward() of a balancer takes the place of loss.backward().",
    ),
}


def gradient(losses: Tensor, parameters: Sequence[Tensor], cotangent: Tensor, keep: bool = True) -> Reached:
    """Differentiate ``cotangent . losses`` in one backward pass; sparse gradients are made dense.

    Raises:
        UnsuitableError, LossError: The graph cannot be entered, or not again.
    """
    try:
        found = torch.autograd.grad(losses, parameters, cotangent, retain_graph=keep, allow_unused=True)
    except RuntimeError as error:
        raise _explained(error) from error
    pairs = zip(parameters, found, strict=True)
    return {id(p): g if g.layout is torch.strided else g.to_dense() for p, g in pairs if g is not None}


def gradient_rows(
    losses: Float[Tensor, " N"],
    parameters: Sequence[Tensor],
    cotangents: Float[Tensor, "rows N"],
    vectorize: bool,
) -> list[Reached]:
    """Differentiate one row of cotangents after the other, or all in one vectorised pass.

    Vectorised passes are faster for many rows of matrix products and on GPUs, slower for convolutions on a
    CPU, where each row is a full pass anyway; and not every operator has a batching rule.
    """
    if not vectorize or len(cotangents) == 1:
        return [gradient(losses, parameters, row) for row in cotangents]
    found = torch.autograd.grad(
        losses, parameters, cotangents, retain_graph=True, allow_unused=True, is_grads_batched=True
    )
    pairs = [(id(p), g) for p, g in zip(parameters, found, strict=True) if g is not None]
    return [{key: rows[index] for key, rows in pairs} for index in range(len(cotangents))]


def mean_cotangent(
    losses: Float[Tensor, " N"], count: int | None = None, unit: float = 1.0
) -> Float[Tensor, " N"]:
    """Return 1/N, the cotangent of the batch mean, over ``unit``; N may be that of a larger batch."""
    return torch.full_like(losses, 1 / ((count or len(losses)) * unit))


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


def nodes(losses: Iterable[Tensor]) -> Iterator[Any]:
    """Yield each operation that any of ``losses`` was computed by, once."""
    stack: list[Any] = [loss.grad_fn for loss in losses]
    seen: set[Any] = set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(following for following, _ in node.next_functions)


def leaves(losses: Iterable[Tensor]) -> list[Tensor]:
    """Return the leaf tensors that require a gradient and that any of ``losses`` reaches.

    Raises:
        UnsuitableError: A checkpointed segment hides its parameters from autograd.grad.
    """
    found: dict[int, Tensor] = {}
    for node in nodes(losses):
        if node.name() == "CheckpointFunctionBackward":
            _, rule, remedy = _TROUBLE["checkpoint"]
            raise UnsuitableError("losses", rule, "a reentrant checkpoint", remedy)
        variable = getattr(node, "variable", None)  # only AccumulateGrad nodes have one
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
    return list(found.values())


def mixes_processes(losses: Mapping[str, Tensor]) -> bool:
    """Say whether samples of other processes were looked at on the way to ``losses``."""
    return any(node.name().startswith(OVER_PROCESSES) for node in nodes(losses.values()))


def _explained(error: RuntimeError) -> Exception:
    """Return an error that says what to do, where autograd's own is a known one."""
    text = str(error)
    for mark, (kind, rule, remedy) in _TROUBLE.items():
        if mark in text:
            return kind("losses", rule, text.splitlines()[0][:120], remedy)
    return error
