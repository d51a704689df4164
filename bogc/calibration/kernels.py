"""How the fused pass runs over a batch of blocks: in eager pieces of cache size, or compiled."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.calibration.batch import Batch, Constants, Pieces
from bogc.calibration.closed_form import ClosedForm
from bogc.calibration.layout import WIDTH, spread, sum_rows
from bogc.checks import check_number

ELSEWHERE: Final = 2**22
"""Elements of an eager piece on other devices than CPUs: 16 MiB in float32 for each of some temporaries."""

Moments = tuple[Pieces, Pieces, Pieces, Pieces, Pieces]  # the arguments of ClosedForm.write


class Kernel(ABC):
    """Computes the sums and the directions of a batch; never waits for the device."""

    @property
    @abstractmethod
    def chunk(self) -> int:
        """Elements of a piece at most, a multiple of 128."""

    def chunk_on(self, device: torch.device) -> int:
        """``chunk`` where the tensors are on ``device``."""
        return self.chunk

    @abstractmethod
    def sums(self, batch: Batch) -> Float[Tensor, "rows B"]:
        """Sums over each block: g^2 of each source, then scatter of each, then (sum of g over sources)^2."""

    @abstractmethod
    def directions(
        self, form: ClosedForm, batch: Batch, constants: Constants, out: Float[Tensor, " length"]
    ) -> Float[Tensor, " B"]:
        """Write directions to ``out`` in the order of the layout; return their sums of squares."""


def widened(pieces: Pieces) -> Pieces:
    """Half precision in float32, in which it is computed; everything else as it is."""
    dtype = torch.promote_types(pieces[0].dtype, torch.float32)
    return pieces if pieces[0].dtype == dtype else [piece.to(dtype) for piece in pieces]


def sums_of(gradients: Pieces, scatters: Pieces) -> Tensor:
    """Rows of ``Kernel.sums`` for one piece, [2 S + 1, rows]."""
    gradients, scatters = widened(gradients), widened(scatters)
    squares = [torch.linalg.vecdot(gradient, gradient) for gradient in gradients]
    totals = [scatter.sum(1) for scatter in scatters]
    plain = gradients[0]
    for gradient in gradients[1:]:
        plain = plain + gradient
    joint = squares[0] if len(gradients) == 1 else torch.linalg.vecdot(plain, plain)
    return torch.stack([*squares, *totals, joint])


def directions_of(form: ClosedForm, moments: Moments, out: Tensor) -> Tensor:
    """Write one piece of ``Kernel.directions`` to ``out`` and return its sums of squares, [rows]."""
    gradients, scatters, floors, per_scatter, scales = moments
    form.write(widened(gradients), widened(scatters), floors, per_scatter, scales, out)
    squares: Tensor = torch.linalg.vecdot(out, out)
    return squares


class Functions(NamedTuple):
    """What computes one piece."""

    sums: Callable[[Pieces, Pieces], Tensor]
    directions: Callable[[ClosedForm, Moments, Tensor], Tensor]


class TorchKernel(Kernel):
    """Goes from piece to piece."""

    @property
    @abstractmethod
    def functions(self) -> Functions:
        """What computes one piece."""

    def sums(self, batch: Batch) -> Float[Tensor, "rows B"]:
        """See the base class."""
        pieces = zip(batch.gradients, batch.scatters, strict=True)
        rows = [self.functions.sums(g, s) for g, s in pieces]
        return sum_rows(batch.layout, torch.cat(rows, 1))

    def directions(
        self, form: ClosedForm, batch: Batch, constants: Constants, out: Float[Tensor, " length"]
    ) -> Float[Tensor, " B"]:
        """See the base class."""
        columns = (spread(batch.layout, values) for values in vars(constants).values())
        squares = []
        pieces = zip(batch.gradients, batch.scatters, *columns, batch.layout.split(out), strict=True)
        for *moments, piece in pieces:
            squares.append(self.functions.directions(form, tuple(moments), piece))
        return sum_rows(batch.layout, torch.cat(squares).unsqueeze(0))[0]


@dataclass(frozen=True)
class Eager(TorchKernel):
    """Piece by piece in plain operations: nothing is compiled, temporaries stay in the cache. The default.

    Attributes:
        chunk: Elements of a piece on a CPU. On other devices pieces have 2**22 at least: there it is launches
            that cost.
    """

    chunk: int = 2**16

    def __post_init__(self) -> None:
        valid = self.chunk > 0 and self.chunk % WIDTH == 0
        check_number("chunk", self.chunk, valid, f"must be a positive multiple of {WIDTH}", "Use 65536.")

    def chunk_on(self, device: torch.device) -> int:
        """See the base class."""
        return self.chunk if device.type == "cpu" else max(self.chunk, ELSEWHERE)

    @property
    def functions(self) -> Functions:
        """As they stand."""
        return Functions(sums_of, directions_of)
