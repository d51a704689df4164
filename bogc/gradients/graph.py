"""Which leaf tensors a loss depends on, and through what, read off the autograd graph."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from torch import Tensor

OVER_PROCESSES: Final = ("SyncBatchNorm", "SumOverTeam", "_AllReduce")
"""How the names of operations begin that exchange values with other processes, going back too."""


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
    """Return the leaf tensors that require a gradient and that any of ``losses`` reaches."""
    found: dict[int, Tensor] = {}
    for node in nodes(losses):
        variable = getattr(node, "variable", None)  # only AccumulateGrad nodes have one
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
    return list(found.values())


def mixes_processes(losses: Iterable[Tensor]) -> bool:
    """Say whether samples of other processes were looked at on the way to ``losses``."""
    return any(node.name().startswith(OVER_PROCESSES) for node in nodes(losses))
