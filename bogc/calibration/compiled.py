"""The fused pass compiled by torch.compile: one loop over the inputs instead of one an operation.

What is compiled must serve every model, so it is given nothing that differs between models except one size:
each tensor begins at the start of a storage of its own that shares the memory (a view would be guarded by
its offset and by the shape it was cut from), and pieces of one row are kept apart from matrices, whose width
is fixed. Each number of sources and each form then compiles each function three times at most in a
dtype: for matrices, for rows, and for rows beyond 4,096 elements, over which Inductor sums in another way.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import FunctionType
from typing import Final

import torch
from torch import Tensor
from torch._dynamo import mark_static
from torch.utils.dlpack import from_dlpack, to_dlpack  # type: ignore[attr-defined]

from bogc.calibration.batch import Pieces
from bogc.calibration.closed_form import ClosedForm
from bogc.calibration.kernels import Functions, Moments, TorchKernel, directions_of, sums_of
from bogc.errors import UnsuitableError

Function = Callable[..., Tensor]
WHOLE: Final = 2**40  # a compiled loop needs no pieces of cache size


@dataclass(frozen=True)
class Compiled(TorchKernel):
    """Compiles on first use, for each number of sources: tens of seconds, so it is for long runs.

    Attributes:
        backend: Of torch.compile.

    Raises:
        UnsuitableError: There is no C++ compiler on the PATH, nor in the environment variable CXX.
    """

    backend: str = "inductor"

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
        return Functions(self._sums, self._directions)

    def _sums(self, gradients: Pieces, scatters: Pieces) -> Tensor:
        return self._run(sums_of, None, [gradients, scatters])

    def _directions(self, form: ClosedForm, moments: Moments, out: Tensor) -> Tensor:
        return self._run(_directions_of, form, [*moments, [out]])

    def _run(self, function: Function, form: ClosedForm | None, given: Sequence[Pieces]) -> Tensor:
        like = given[0][0]
        run = _compiled(function, form, len(given[0]), like.dtype, len(like) == 1, self.backend)
        with torch.no_grad():
            result: Tensor = run([[_alone(piece) for piece in pieces] for pieces in given])
        return result


@lru_cache(maxsize=64)
def _compiled(
    function: Function, form: ClosedForm | None, sources: int, dtype: torch.dtype, row: bool, backend: str
) -> Function:
    """One compiled function for arguments of one kind; with its own code, by which torch counts them."""
    given = function if form is None else partial(function, form)

    def run(pieces: Sequence[Pieces]) -> Tensor:
        return given(*pieces)

    own = FunctionType(run.__code__.replace(), run.__globals__, closure=run.__closure__)
    return torch.compile(own, dynamic=True, fullgraph=True, backend=backend)


def _directions_of(form: ClosedForm, *given: Pieces) -> Tensor:
    gradients, scatters, floors, per_scatter, scales, (out,) = given
    return directions_of(form, (gradients, scatters, floors, per_scatter, scales), out)


def _alone(piece: Tensor) -> Tensor:
    """Return the same memory at the start of a storage; the rows of a matrix and the length of a row vary."""
    alone: Tensor = from_dlpack(to_dlpack(piece.detach().contiguous()))
    if len(alone) > 1:
        mark_static(alone, 1)
    return alone
