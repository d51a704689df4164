"""How many tensor operations a step is: what a GPU pays for in launches.

Run as ``python -m tests.benchmarks.operations``; prints a JSON object, and keeps it with ``--keep``. A CPU
runs large groups in pieces, which multiplies operations without a GPU's price: here every group is one piece.
"""

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bogc.gradients import groups
from bogc.training.storage import versions, write_json
from tests.benchmarks.contestants import step
from tests.benchmarks.networks import CLASSES, PROBLEMS, Problem, TwoModal
from tests.benchmarks.rounds import RESULTS

FREE: Final = frozenset([
    "alias", "as_strided", "detach", "empty", "empty_like", "empty_strided", "expand", "full",
    "full_like", "is_same_size", "lift_fresh", "movedim", "new_empty", "new_empty_strided", "new_full",
    "new_ones", "new_zeros", "ones", "ones_like", "permute", "select", "slice", "split",
    "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view",
    "_reshape_alias", "_unsafe_view", "zeros", "zeros_like", "_record_function_enter_new",
    "_record_function_exit", "promote_types",
])  # fmt: skip
"""Views, allocations and bookkeeping."""
COUNTED: Final = ("plain sum", "bogc")
WARM_UP: Final = 4
"""Steps before the one that is counted: the first are the plain sum."""


class Operations(TorchDispatchMode):
    """Counts operations that read or write tensors while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count one, and run it."""
        self.count += function._schema.name.split("::")[1] not in FREE
        return function(*args, **(kwargs or {}))


def operations(make: Callable[[], Problem]) -> dict[str, int]:
    """Count those of a whole step of each contestant, on a network of its own."""
    counts = {}
    for contestant in COUNTED:
        work = step(make(), contestant)
        for _ in range(WARM_UP):
            work()
        with Operations() as found:
            work()
        counts[contestant] = found.count
    return counts


def deep(layers: int) -> Problem:
    """Two encoders of as many linear layers."""
    encoders = [nn.Sequential(*(nn.Linear(16, 16) for _ in range(layers))) for _ in range(2)]
    network = TwoModal((encoders[0], encoders[1]), (16, 16))
    return Problem(network, (torch.randn(4, 16), torch.randn(4, 16)), torch.randint(CLASSES, (4,)))


def main() -> None:
    """Count for every problem at a small batch, and for 4 and 8 linear layers."""
    torch.set_num_threads(1)
    groups.CHUNK = 2**40  # type: ignore[misc]
    found = {
        name: operations(lambda make=make: make(2))
        for name, (make, _) in PROBLEMS.items()
        if "batch 256" not in name and ("Hugging Face" not in name or find_spec("transformers"))
    }
    layers = {f"{n} layers": operations(lambda n=n: deep(n)) for n in (4, 8)}
    print(json.dumps(found | layers))
    if "--keep" in sys.argv:
        kept = {"device": "any device", "results": found, "versions": versions()}
        write_json(RESULTS / "operations.json", kept)


if __name__ == "__main__":
    main()
