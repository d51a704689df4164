"""The fused pass compiled by torch.compile: one loop over the inputs instead of one an operation."""

import os
import shutil
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import torch

from bogc.calibration.kernels import Functions, TorchKernel, directions_of, floored_of, sums_of
from bogc.errors import UnsuitableError

WHOLE: Final = 2**40  # a compiled loop needs no pieces of cache size


@dataclass(frozen=True)
class Compiled(TorchKernel):
    """Compiles on first use, for each number of sources: tens of seconds, so it is for long runs.

    Raises:
        UnsuitableError: There is no C++ compiler on the PATH, nor in the environment variable CXX.
    """

    def __post_init__(self) -> None:
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            rule, remedy = (
                "needs a C++ compiler",
                "Install g++, name another in CXX, or use the eager kernel.",
            )
            raise UnsuitableError("kernel", rule, f"no {compiler} on the PATH", remedy)

    @property
    def chunk(self) -> int:
        """Whole blocks."""
        return WHOLE

    @property
    def functions(self) -> Functions:
        """Compiled once a process, for any size."""
        return _functions()


@cache
def _functions() -> Functions:
    return Functions(*(_compile(function) for function in (sums_of, floored_of, directions_of)))


def _compile(function: Any) -> Any:
    return torch.compile(function, dynamic=True, fullgraph=True)
