"""A device that cannot be read: steps on ``meta``, where whatever crosses to or from the host is counted."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE: Final = torch.device("meta")
READS: Final[Mapping[Callable[..., Any], Callable[[Tensor], Any]]] = {
    Tensor.item: lambda found: 1.0,
    Tensor.tolist: lambda found: torch.ones(found.shape).tolist(),
    Tensor.__bool__: lambda found: True,
    Tensor.__float__: lambda found: 1.0,
    Tensor.__int__: lambda found: 1,
    Tensor.__index__: lambda found: 1,
    Tensor.cpu: lambda found: torch.ones(found.shape, dtype=found.dtype),
    Tensor.numpy: lambda found: torch.ones(found.shape, dtype=found.dtype).numpy(),
    torch.equal: lambda found: True,
    torch.allclose: lambda found: True,
}
"""What waits for a device -> what is said in its place; all is well there."""
FROM_NUMBERS: Final = (torch.tensor, torch.as_tensor, Tensor.new_tensor)
"""What makes a tensor on the host first."""


class Away(TorchFunctionMode):
    """A mode that counts what is read from ``meta``, answered with ones, and what is copied there.

    Attributes:
        reads: Names of functions.
        copies: Likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.copies: list[str] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer in the device's place, or go on."""
        if function in READS and args[0].device == DEVICE:
            self.reads.append(function.__name__)
            return READS[function](args[0])
        result = function(*args, **(kwargs or {}))
        given = args[function is Tensor.new_tensor]
        if function in FROM_NUMBERS and result.device == DEVICE and not isinstance(given, Tensor):
            self.copies.append(function.__name__)
        return result


class Crossing(TorchDispatchMode):
    """A mode that counts operations on tensors of the host whose result is on ``meta``.

    Attributes:
        copies: Names of operations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look at the devices of what goes in and comes out; a single number may come from the host."""
        result = function(*args, **(kwargs or {}))
        given, made = (
            [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
            for values in ((args, kwargs), result)
        )
        host = [leaf for leaf in given if leaf.device != DEVICE and (leaf.dim() or "copy" in str(function))]
        if host and any(leaf.device == DEVICE for leaf in made):
            self.copies.append(str(function))
        return result
