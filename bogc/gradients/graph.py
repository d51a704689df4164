"""Which leaf tensors a loss depends on, read off the autograd graph."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor


def leaves(losses: Iterable[Tensor]) -> list[Tensor]:
    """Return the leaf tensors that require a gradient and that any of ``losses`` reaches."""
    stack: list[Any] = [loss.grad_fn for loss in losses]
    seen: set[Any] = set()
    found: dict[int, Tensor] = {}
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)  # only AccumulateGrad nodes have one
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
        stack.extend(following for following, _ in node.next_functions)
    return list(found.values())
