"""How often a step waits for the device: counted on a GPU, or on ``meta``, which cannot be read."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bogc import BOGC
from tests.benchmarks.networks import PROBLEMS
from tests.device.away import DEVICE, READS, Away, Crossing
from tests.gpu.machine import Machine
from tests.gpu.problems import on
from tests.gpu.records import Row

WARM_UP: Final = 6
"""Steps before the one that is looked at: layouts have been copied to the device then."""
NETWORK: Final = "Conv1d with BatchNorm, 49 k, batch 64"


class Waits(TorchFunctionMode):
    """A mode in which reading a tensor of a GPU is counted, and whatever else waits for it is an error.

    Attributes:
        reads: Names of functions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def __enter__(self) -> "Waits":
        super().__enter__()  # type: ignore[no-untyped-call]
        torch.cuda.set_sync_debug_mode("error")
        return self

    def __exit__(self, *error: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Let a read through, or go on."""
        if not (function in READS and isinstance(args[0], Tensor) and args[0].is_cuda):
            return function(*args, **(kwargs or {}))
        self.reads.append(function.__name__)
        torch.cuda.set_sync_debug_mode("default")
        try:
            return function(*args, **(kwargs or {}))
        finally:
            torch.cuda.set_sync_debug_mode("error")


def count(machine: Machine) -> Row:
    """Look at one default step, after some others."""
    make, batch = PROBLEMS[NETWORK]
    problem = on(DEVICE if machine.dry else machine.device, make(batch))
    balancer = BOGC(problem.network.partition())
    optimiser = torch.optim.SGD(problem.network.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        balancer.backward(problem.losses())
        optimiser.step()

    if machine.dry:
        with Away():  # what it answers has no values
            for _ in range(WARM_UP):
                step()
        with Away() as away, Crossing() as crossing:
            step()
        return {"waits": len(away.reads), "reads": away.reads, "copies": away.copies + crossing.copies}
    for _ in range(WARM_UP):
        step()
    torch.cuda.synchronize(machine.device)
    with Waits() as waits:
        step()
    return {"waits": len(waits.reads), "reads": waits.reads, "copies": []}
