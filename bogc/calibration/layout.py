"""Where the dimensions of many blocks lie when they are computed together: rows, each of one block.

A large block is cut into views of cache size, without a copy; the small blocks are copied side by side into
one matrix of narrow rows, padded with zeros. What holds for a block, such as the scale of its prior, is then
a column of one number a row, and a sum over a block is a sum over its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

WIDTH: Final = 128  # of a row of small blocks
SMALL: Final = 4096  # dimensions; a block above this fills at least one chunk of its own


@dataclass(frozen=True)
class Layout:
    """Blocks of ``sizes`` in pieces [rows, width] of at most ``chunk`` elements.

    Attributes:
        sizes: D of each block.
        chunk: Elements of a piece; a multiple of WIDTH.
    """

    sizes: tuple[int, ...]
    chunk: int

    @cached_property
    def large(self) -> tuple[int, ...]:
        """Indices of the blocks that are cut."""
        return tuple(index for index, size in enumerate(self.sizes) if size > SMALL)

    @cached_property
    def small(self) -> tuple[int, ...]:
        """Indices of the blocks that share rows of one matrix."""
        return tuple(index for index, size in enumerate(self.sizes) if size <= SMALL)

    @cached_property
    def rows_of_small(self) -> tuple[int, ...]:
        """Rows that each small block takes."""
        return tuple(-(-self.sizes[index] // WIDTH) for index in self.small)

    @cached_property
    def block_of_row(self) -> tuple[int, ...]:
        """Index of the block of each row, in the order of the pieces."""
        large = [index for index in self.large for _ in range(0, self.sizes[index], self.chunk)]
        pairs = zip(self.small, self.rows_of_small, strict=True)
        return (*large, *(index for index, rows in pairs for _ in range(rows)))

    @cached_property
    def rows(self) -> list[int]:
        """Rows of each piece."""
        large = sum(-(-self.sizes[index] // self.chunk) for index in self.large)
        full, rest = divmod(sum(self.rows_of_small), self.chunk // WIDTH)
        return [1] * large + [self.chunk // WIDTH] * full + [rest] * (rest > 0)

    @cached_property
    def padding(self) -> tuple[int, ...]:
        """How many zeros fill up the rows of each block."""
        fill = {
            i: rows * WIDTH - self.sizes[i] for i, rows in zip(self.small, self.rows_of_small, strict=True)
        }
        return tuple(fill.get(index, 0) for index in range(len(self.sizes)))

    @property
    def length(self) -> int:
        """Elements of all rows."""
        return sum(self.sizes) + sum(self.padding)

    def pieces(self, blocks: Sequence[Float[Tensor, " _"]]) -> list[Float[Tensor, "_ _"]]:
        """Cut tensors of ``sizes``: views of the large ones, a copy of the small ones."""
        cut = [piece for index in self.large for piece in blocks[index].view(1, -1).split(self.chunk, 1)]
        if not self.small:
            return cut
        zeros = blocks[self.small[0]].new_zeros(WIDTH)
        parts = [part for i in self.small for part in (blocks[i], zeros[: self.padding[i]])]
        return [*cut, *torch.cat(parts).view(-1, WIDTH).split(self.chunk // WIDTH)]

    def split(self, flat: Float[Tensor, " length"]) -> list[Float[Tensor, "_ _"]]:
        """Cut one tensor of ``length`` elements into views of the shapes of ``pieces``."""
        large, small = self._parts(flat)
        cut = [piece for part in large for piece in part.view(1, -1).split(self.chunk, 1)]
        return [*cut, *small.view(-1, WIDTH).split(self.chunk // WIDTH)] if self.small else cut

    def blocks(self, flat: Float[Tensor, " length"]) -> list[Float[Tensor, " _"]]:
        """View of each block in a tensor whose pieces ``split`` gave."""
        large, small = self._parts(flat)
        found = dict(zip(self.large, large, strict=True))
        parts = small.split([rows * WIDTH for rows in self.rows_of_small])
        found |= {i: part[: self.sizes[i]] for i, part in zip(self.small, parts, strict=True)}
        return [found[index] for index in range(len(self.sizes))]

    def _parts(self, flat: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        lengths = [*(self.sizes[index] for index in self.large), WIDTH * sum(self.rows_of_small)]
        *large, small = flat.split(lengths)
        return large, small


@lru_cache(maxsize=64)
def layout(sizes: tuple[int, ...], chunk: int) -> Layout:
    """Layout of these blocks, made once."""
    return Layout(sizes, chunk)


@lru_cache(maxsize=64)
def block_index(layout: Layout, device: torch.device) -> Int[Tensor, " rows"]:
    """Return ``block_of_row`` on a device, copied there once."""
    return torch.tensor(layout.block_of_row, device=device)


@lru_cache(maxsize=64)
def block_sizes(layout: Layout, dtype: torch.dtype, device: torch.device) -> Float[Tensor, " blocks"]:
    """Return ``Layout.sizes`` on a device, copied there once."""
    return torch.tensor(layout.sizes, dtype=dtype, device=device)


def sum_rows(layout: Layout, rows: Float[Tensor, "any rows"]) -> Float[Tensor, "any blocks"]:
    """Add up what the rows of each block hold."""
    totals = rows.new_zeros(len(rows), len(layout.sizes))
    return totals.index_add_(1, block_index(layout, rows.device), rows)


def spread(layout: Layout, values: Float[Tensor, "any blocks"]) -> list[list[Float[Tensor, "_ 1"]]]:
    """Return a column of one number a row for each piece, in a list over the first axis for each piece."""
    rows = values.index_select(1, block_index(layout, values.device)).unsqueeze(-1)
    return [list(part.unbind(0)) for part in rows.split(layout.rows, 1)]
