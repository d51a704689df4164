"""Part ``bandwidth``: all that a step does beside its backward passes, against a copy of as many bytes.

Gradients are made beforehand and handed out by autograd as they are, so that a backward pass costs nothing.
"""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bogc import BOGC, ModalityPartition
from tests.gpu.machine import Machine, Work
from tests.gpu.records import Row, in_words
from tests.gpu.steps import COMPILED, IN_A_ROW, ROUNDS, WARM_UP, compiling

SIZES: Final = (10**6, 3 * 10**6, 10**7, 3 * 10**7, 10**8)
DRY_SIZES: Final = (2 * 10**4,)
LAYERS: Final = 16
"""Of each of two modalities."""
SAMPLES: Final = 64
LEAST: Final = 11
"""Floats a parameter that a step of two sources cannot do without: of each source the gradient is read and
kept, the last one is read, the sum of squares is read and written; and the update is written once."""
FLOAT: Final = 4
UNMOVED: Final = frozenset(["empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"])
OVERWRITTEN: Final = frozenset(["copy_", "fill_", "zero_"])


def rows(machine: Machine) -> dict[str, Callable[[], Row]]:
    """One row a number of parameters."""
    sizes = DRY_SIZES if machine.dry else SIZES
    return {f"{size:,} parameters": partial(measured, machine, size) for size in sizes}


class Stored(torch.autograd.Function):
    """Losses [N] of zeros whose gradient is what was stored."""

    @staticmethod
    def forward(ctx: Any, gradients: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        """Keep the gradients."""
        ctx.gradients = gradients
        return parameters[0].new_zeros(SAMPLES)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        """Hand them out."""
        return None, *ctx.gradients


class Layer(nn.Module):
    """A number of parameters."""

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, device=device))


def passes(device: torch.device, size: int, compiled: bool) -> Work:
    """A step of ``size`` parameters in all, half of them in each of two modalities."""
    own = {
        name: nn.ModuleList(Layer(size // (2 * LAYERS), device) for _ in range(LAYERS))
        for name in ("first", "second")
    }
    balancer = BOGC(ModalityPartition(own, shared=[]), compiled=compiled)
    parameters = {name: list(module.parameters()) for name, module in own.items()}
    parameters["fusion"] = [*parameters["first"], *parameters["second"]]
    batches = [
        {source: [torch.randn_like(p) for p in found] for source, found in parameters.items()}
        for _ in range(2)
    ]

    def step() -> None:
        batches.reverse()
        for parameter in parameters["fusion"]:
            parameter.grad = None
        losses = {
            source: Stored.apply(batches[0][source], *parameters[source])  # type: ignore[no-untyped-call]
            for source in ("fusion", "first", "second")
        }
        balancer.backward(losses)

    return step


class Moved(TorchDispatchMode):
    """A mode that counts the bytes that operations read and write.

    Attributes:
        bytes: So far; an operand counts once an operation, whatever caches hold of it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count what goes in and comes out unless it is a view."""
        given = dict(kwargs or {})
        result = function(*args, **given)
        name = function._schema.name.split("::")[1]
        into = given.pop("out", None)
        read = _tensors((args[name in OVERWRITTEN :], given))
        written = _tensors(result if into is None else into)
        places = {value.untyped_storage().data_ptr() for value in read}
        shared = all(value.untyped_storage().data_ptr() in places for value in written)
        view = shared and into is None and not function._schema.is_mutable
        if name not in UNMOVED and not view:
            self.bytes += sum(map(_size, (*read, *written)))
        return result


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _size(value: Tensor) -> int:
    """Bytes that are there: an expanded tensor's are those of its storage."""
    return min(value.numel() * value.element_size(), value.untyped_storage().nbytes())


def measured(machine: Machine, size: int) -> Row:
    """Both ways of the pass, and the copy."""
    least = LEAST * FLOAT * size
    copied = _copy(machine, least)
    found: dict[str, Row] = {}
    with compiling(machine):
        for name in ("bogc", COMPILED):
            try:
                found[name] = _pass(machine, size, name == COMPILED, copied)
            except Exception as error:  # out of memory, or it cannot be compiled here
                found[name] = {"failed": in_words(error)}
            machine.clear()
    rate = least / copied / 1e6
    return {"contestants": found, "least_bytes": least, "copy_gigabytes_a_second": rate}


def _copy(machine: Machine, size: int) -> float:
    """Milliseconds of a copy that reads and writes ``size`` bytes in all."""
    source = torch.ones(size // (2 * FLOAT), device=machine.device)
    target = torch.empty_like(source)
    return _median(machine, lambda: target.copy_(source))


def _pass(machine: Machine, size: int, compiled: bool, copied: float) -> Row:
    work = passes(machine.device, size, compiled)
    for _ in range(WARM_UP):
        work()
    row: Row = {"milliseconds": _median(machine, work)}
    row["share"] = copied / max(row["milliseconds"], 1e-6)
    if not compiled:  # what compiled code reads and writes is not seen from outside
        with Moved() as moved:
            work()
        row["moved_bytes"] = moved.bytes
        row["moved_share"] = row["share"] * moved.bytes / (LEAST * FLOAT * size)
    return row


def _median(machine: Machine, work: Work) -> float:
    work()
    rounds = 2 if machine.dry else ROUNDS
    return max(statistics.median(machine.milliseconds(work, IN_A_ROW) for _ in range(rounds)), 1e-6)
