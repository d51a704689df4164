"""The fused pass by hand-written Triton kernels: three launches for all blocks of a model."""

import importlib
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bogc.calibration.batch import Batch, Constants
from bogc.calibration.certainties import SignCertainty, SupportCertainty
from bogc.calibration.closed_form import ClosedForm
from bogc.calibration.kernels import Eager, Kernel
from bogc.calibration.layout import WIDTH, Layout
from bogc.calibration.means import BeliefMean, batch_mean
from bogc.checks import check_number
from bogc.errors import DeviceError, UnsuitableError

PIECE: Final = 2**24  # elements; bounds what forms without a Triton kernel allocate


class Given(NamedTuple):
    """Arguments of every launch.

    Attributes:
        tiles: See ``triton_functions``, [tiles, 5].
        addresses: Likewise, [pieces, 2 S].
        pieces: What lies there, kept until the launch.
        sources: S.
    """

    tiles: Int[Tensor, "tiles 5"]
    addresses: Int[Tensor, "pieces columns"]
    pieces: list[list[Tensor]]
    sources: int


@dataclass(frozen=True)
class TritonKernel(Kernel):
    """Relative belief and fused certainty of reliability or sign in one launch; other forms as Eager.

    Sums are taken by tile and then added in float64. On the CPU it runs only in Triton's interpreter.

    Attributes:
        tile: Elements that a program takes, a power of two.

    Raises:
        UnsuitableError: Triton is not installed.
        DeviceError: On use: the tensors are not on a CUDA device.
    """

    tile: int = 1024

    def __post_init__(self) -> None:
        valid = self.tile >= WIDTH and self.tile.bit_count() == 1
        check_number("tile", self.tile, valid, f"must be a power of two, at least {WIDTH}", "Use 1024.")
        if find_spec("triton") is None:
            remedy = "Install it with `pip install triton`, or use the eager kernel."
            raise UnsuitableError("kernel", "needs the package triton", "none", remedy)

    @property
    def chunk(self) -> int:
        """Pieces matter to other forms alone."""
        return PIECE

    def sums(self, batch: Batch) -> Float[Tensor, "rows B"]:
        """See the base class."""
        given = self._given(batch)
        partial = self._partial(given, batch, 2 * given.sources + 1)
        with torch.cuda.device_of(partial):
            _functions().sums[(len(given.tiles),)](
                given.tiles, given.addresses, given.pieces[0][0], partial, given.sources, self.tile
            )
        return _add_up(partial, given.tiles, batch.layout)

    def directions(
        self, form: ClosedForm, batch: Batch, constants: Constants, out: Float[Tensor, " length"]
    ) -> Float[Tensor, " B"]:
        """See the base class."""
        if not has_function(form):
            return Eager().directions(form, batch, constants, out)
        given = self._given(batch)
        partial = self._partial(given, batch, 1)
        with torch.cuda.device_of(partial):
            _functions().directions[(len(given.tiles),)](
                given.tiles,
                given.addresses,
                torch.stack(list(vars(constants).values())).to(out.dtype),
                len(batch.layout.sizes),
                given.pieces[0][0],
                out,
                partial,
                LIMIT=8 / torch.finfo(out.dtype).eps,
                TINY=torch.finfo(out.dtype).tiny,
                SOURCES=given.sources,
                SIGN=type(form.certainty) is SignCertainty,
                BATCH_MEAN=form.mean == BeliefMean(batch_mean),
                BLOCK=self.tile,
            )
        return _add_up(partial, given.tiles, batch.layout)[0]

    def _given(self, batch: Batch) -> Given:
        device = batch.gradients[0][0].device
        if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            remedy = "Move the model to a GPU, or use the eager or the compiled kernel."
            raise DeviceError("kernel", "triton needs tensors on a CUDA device", device, remedy)
        found = [[*g, *s] for g, s in zip(batch.gradients, batch.scatters, strict=True)]
        dtypes = {piece.dtype for row in found for piece in row}
        dtype = dtypes.pop() if len(dtypes) == 1 else batch.dtype
        pieces = [[piece.to(dtype).contiguous() for piece in row] for row in found]
        host = torch.tensor(
            [[piece.data_ptr() for piece in row] for row in pieces],
            dtype=torch.int64,
            pin_memory=device.type == "cuda",  # a copy from other memory would wait for the device
        )
        addresses = host.to(device, non_blocking=True)
        return Given(_tiles(batch.layout, self.tile, device), addresses, pieces, len(batch.gradients[0]))

    def _partial(self, given: Given, batch: Batch, rows: int) -> Float[Tensor, "rows tiles"]:
        return torch.empty(rows, len(given.tiles), dtype=batch.dtype, device=given.tiles.device)


def has_function(form: ClosedForm) -> bool:
    """Whether ``triton_functions`` computes this form."""
    return type(form.mean) is BeliefMean and type(form.certainty) in (SignCertainty, SupportCertainty)


@cache
def _functions() -> ModuleType:
    """Imported on first use: Triton takes a second, and need not be there."""
    return importlib.import_module("bogc.calibration.triton_functions")


@lru_cache(maxsize=64)
def _tiles(layout: Layout, tile: int, device: torch.device) -> Int[Tensor, "tiles 5"]:
    """Rows of piece, start in it, elements, block and start in the output; copied to a device once."""
    return torch.tensor(tile_rows(layout, tile), dtype=torch.int64, device=device)


def tile_rows(layout: Layout, tile: int) -> list[tuple[int, int, int, int, int]]:
    """Cut each block, without its padding, into tiles that lie in one piece each."""
    rows, piece, begin = [], 0, 0
    for block in layout.large:
        size = layout.sizes[block]
        for start in range(0, size, layout.chunk):
            length = min(layout.chunk, size - start)
            rows += [
                (piece, at, min(tile, length - at), block, begin + start + at)
                for at in range(0, length, tile)
            ]
            piece += 1
        begin += size
    small = 0  # where the block begins in the matrix of small blocks
    for block, narrow in zip(layout.small, layout.rows_of_small, strict=True):
        at = small
        while at < small + layout.sizes[block]:
            count = min(tile, small + layout.sizes[block] - at, layout.chunk - at % layout.chunk)
            rows.append((piece + at // layout.chunk, at % layout.chunk, count, block, begin + at))
            at += count
        small += narrow * WIDTH
    return rows


def _add_up(
    partial: Float[Tensor, "rows tiles"], tiles: Int[Tensor, "tiles 5"], layout: Layout
) -> Float[Tensor, "rows B"]:
    """Sums over the tiles of each block."""
    totals = partial.new_zeros(len(partial), len(layout.sizes), dtype=torch.float64)
    return totals.index_add_(1, tiles[:, 3], partial.double()).to(partial.dtype)
