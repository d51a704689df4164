"""Gradients of several losses, flat: all blocks that equally many sources reach are one tensor [S, D].

However many layers a network has, a method computes on as many tensors as there are numbers of sources that
meet somewhere, usually two: encoders are reached by the fusion and their own loss, heads by one loss. A block
starts a new row of ``WIDTH`` elements and its last row is filled up with zeros, so a sum over each block is a
sum over rows, for all blocks at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients.sharded import holders, local

WIDTH: Final = 256
FEW: Final = 4
KEPT: Final = 16
"""Tables of numbers that a layout keeps on its devices: counts differ where a modality is missing."""
CHUNK: Final = 2**17
"""Elements of each source that go through elementwise arithmetic together on a CPU, to stay in its cache."""


@runtime_checkable
class Pool(Protocol):
    """What is summed or averaged over the dimensions of a block, and given back to each of them."""

    def sum(self, values: Tensor) -> Tensor:
        """Sum over a block: [..., D] -> what broadcasts against it."""
        ...

    def mean(self, values: Tensor) -> Tensor:
        """Mean over a block, likewise."""
        ...


@dataclass(frozen=True, eq=False)
class Block:
    """Parameters that are calibrated together, with one prior: those of one layer.

    Attributes:
        name: Path of the layer, for logs and pictures.
        modality: The modality that owns it, or ``"shared"``.
        parameters: Its trainable tensors; flattened and concatenated they are the D dimensions.
        names: Of the parameters, within the layer.
    """

    name: str
    modality: str
    parameters: tuple[nn.Parameter, ...]
    names: tuple[str, ...] = ()

    @cached_property
    def shapes(self) -> tuple[torch.Size, ...]:
        """Shapes of the parameters; of their rows in this process, where they are sharded."""
        return tuple(local(parameter).shape for parameter in self.parameters)

    @cached_property
    def size(self) -> int:
        """D, the number of dimensions; those of this process, where the parameters are sharded."""
        return sum(shape.numel() for shape in self.shapes)

    @cached_property
    def whole_size(self) -> int:
        """The number of dimensions in all processes together."""
        return sum(parameter.numel() for parameter in self.parameters)


class Layout:
    """Where the blocks of a group lie.

    Args:
        blocks: The blocks, in order.
        sources: Names of the S sources that reach each block, fusion first.
    """

    def __init__(self, blocks: Sequence[Block], sources: Sequence[tuple[str, ...]]) -> None:
        self.blocks = tuple(blocks)
        self.sources = tuple(sources)
        self.rows = [-(-block.size // WIDTH) for block in self.blocks]
        self.size = WIDTH * sum(self.rows)
        self.holders = holders(self.blocks[0].parameters[0])
        self._on: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor, Tensor]] = {}
        self._tables: dict[tuple[object, ...], Tensor] = {}
        self._zeros: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(source, block name) of every row of every block, block by block."""
        return [(s, b.name) for b, own in zip(self.blocks, self.sources, strict=True) for s in own]

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for layouts of the same sources and sizes."""
        return tuple((b.name, b.size, own) for b, own in zip(self.blocks, self.sources, strict=True))

    @cached_property
    def starts(self) -> list[int]:
        """First element of each block."""
        return [WIDTH * sum(self.rows[:index]) for index in range(len(self.rows))]

    def pack(
        self, gradients: Mapping[str, Mapping[int, Tensor]], dtype: torch.dtype, out: Tensor | None = None
    ) -> Float[Tensor, "S D"]:
        """Copy gradients, by source and id of the parameter, into one tensor; what is absent is zero."""
        device = self.blocks[0].parameters[0].device
        pieces: list[Tensor] = []
        for index in range(len(self.sources[0])):
            for block, own in zip(self.blocks, self.sources, strict=True):
                found = gradients[own[index]]
                for parameter, shape in zip(block.parameters, block.shapes, strict=True):
                    piece = found.get(id(parameter))
                    if piece is None:
                        piece = local(parameter).new_zeros(shape)
                    pieces.append(piece.reshape(-1))
                rest = -block.size % WIDTH
                if rest:
                    pieces.append(self._padding(pieces[-1].dtype, device)[:rest])
        if out is None:
            out = torch.empty(len(self.sources[0]), self.size, dtype=dtype, device=device)
        torch.cat(pieces, out=out.view(-1))
        return out

    def fill(self, pairs: Mapping[tuple[str, str], Tensor], like: Tensor) -> Float[Tensor, "S D"]:
        """Lay out values [d] by source and block name; what is absent is zero. Slower than ``pack``."""
        out = like.new_zeros(len(self.sources[0]), self.size)
        for block, own, start in zip(self.blocks, self.sources, self.starts, strict=True):
            for row, source in enumerate(own):
                if (source, block.name) in pairs:
                    out[row, start : start + block.size] = pairs[source, block.name]
        return out

    def take(self, values: Float[Tensor, "S D"]) -> dict[tuple[str, str], Float[Tensor, " d"]]:
        """View the values of each source and block: inverse of ``fill``."""
        return {
            (source, block.name): values[row, start : start + block.size]
            for block, own, start in zip(self.blocks, self.sources, self.starts, strict=True)
            for row, source in enumerate(own)
        }

    def unpack(self, flat: Float[Tensor, " D"]) -> dict[nn.Parameter, Tensor]:
        """View each parameter's part of ``flat``, in the parameter's own shape."""
        found: dict[nn.Parameter, Tensor] = {}
        for block, start in zip(self.blocks, self.starts, strict=True):
            place = start
            for parameter, shape in zip(block.parameters, block.shapes, strict=True):
                found[parameter] = flat[place : place + shape.numel()].view(shape)
                place += shape.numel()
        return found

    def cut(self, values: Float[Tensor, "*any D"]) -> dict[str, Float[Tensor, "*any d"]]:
        """View each block's own dimensions, by name."""
        pairs = zip(self.blocks, self.starts, strict=True)
        return {block.name: values[..., start : start + block.size] for block, start in pairs}

    def runs(self) -> Iterator[tuple[str, tuple[str, ...], slice]]:
        """Yield owner, sources and place of each run of blocks of one owner that the same sources reach."""
        marks = [(b.modality, own) for b, own in zip(self.blocks, self.sources, strict=True)]
        first = 0
        for index, (owner, own) in enumerate(marks):
            if index + 1 == len(marks) or marks[index + 1] != (owner, own):
                yield owner, own, slice(self.starts[first], self.starts[index] + WIDTH * self.rows[index])
                first = index + 1

    def tensors(self, place: slice) -> list[slice]:
        """Place of each parameter within a run, counted from its start."""
        found = []
        for block, start in zip(self.blocks, self.starts, strict=True):
            first = start - place.start
            for shape in block.shapes:
                if place.start <= start < place.stop:
                    found.append(slice(first, first + shape.numel()))
                first += shape.numel()
        return found

    def sum(self, rows: Float[Tensor, "S R"]) -> Float[Tensor, "S B"]:
        """Add up what the rows of each block hold, here and in the processes that hold others."""
        return self.holders.sum([self._own_sum(rows)])[0]

    def mean(
        self, rows: Float[Tensor, "S R"], fill: Float[Tensor, "S B"] | None = None
    ) -> Float[Tensor, "S B"]:
        """Divide ``sum`` by the sizes of the blocks; ``fill`` is what rows hold where they are filled up."""
        _, sizes, filled = self._constants(rows)
        own = self._own_sum(rows)
        total = own if fill is None else torch.addcmul(own, fill, filled, value=-1)
        return self.holders.sum([total])[0] / sizes

    def _own_sum(self, rows: Float[Tensor, "S R"]) -> Float[Tensor, "S B"]:
        index, sizes, _ = self._constants(rows)
        return rows.new_zeros(rows.shape[0], sizes.shape[0]).index_add_(1, index, rows)

    def spread(self, values: Shaped[Tensor, "*any B"]) -> Shaped[Tensor, "*any R 1"]:
        """Give every row the number of its block."""
        return values.index_select(-1, self._constants(values)[0]).unsqueeze(-1)

    def mask(self, like: Tensor) -> Float[Tensor, "R width"]:
        """1 for the dimensions of the blocks, 0 for what fills up their last rows."""
        key = (like.dtype, like.device)
        if key not in self._masks:
            flat = like.new_zeros(self.size)
            for part in self.cut(flat).values():
                part.fill_(1)
            self._masks[key] = flat.view(-1, WIDTH)
        return self._masks[key]

    @cached_property
    def _masks(self) -> dict[tuple[torch.dtype, torch.device], Tensor]:
        return {}

    def chunks(self, device: torch.device) -> list[slice]:
        """Ranges of rows that go through elementwise arithmetic together: all of them on a GPU."""
        total = self.size // WIDTH
        step = CHUNK // WIDTH if device.type == "cpu" else total
        if total <= step:
            return [slice(0, total)]
        return [slice(start, min(start + step, total)) for start in range(0, total, step)]

    def table(self, numbers: Mapping[str, float], like: Tensor) -> Float[Tensor, "S B"]:
        """Number of each block's sources; the same numbers are copied to a device once."""
        columns = tuple(tuple(float(numbers[source]) for source in own) for own in self.sources)
        key = (columns, like.dtype, like.device)
        if key not in self._tables:
            if len(self._tables) == KEPT:
                self._tables.clear()
            self._tables[key] = like.new_tensor(columns).T
        return self._tables[key]

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Block of each row, sizes of the blocks, and elements that fill them up, copied to a device once."""
        found = self._on.get((like.dtype, like.device))
        if found is None:
            index = [block for block, rows in enumerate(self.rows) for _ in range(rows)]
            sizes = [block.whole_size for block in self.blocks]
            filled = [rows * WIDTH - b.size for rows, b in zip(self.rows, self.blocks, strict=True)]
            blocks = torch.tensor(index, dtype=torch.int64, device=like.device)
            found = blocks, like.new_tensor(sizes), like.new_tensor(filled)
            self._on[like.dtype, like.device] = found
        return found

    def _padding(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        return self._zeros.setdefault((dtype, device), torch.zeros(WIDTH, dtype=dtype, device=device))


@dataclass(frozen=True, eq=False)
class GradientGroup:
    """Gradients of S mean losses with respect to the same blocks.

    Attributes:
        layout: Which block and source is where.
        gradients: [S, D], in float32 at least; rows follow each block's own sources.
        counts: Samples of each source, by name.
        scatter: Sum of squared deviations as in GradientMoments, [S, D], where it was measured in the batch.
        freedom: Its degrees of freedom, by source.
        drawn: Mean over draws of the parameters, [S, D], where the scatter is that over draws.
    """

    layout: Layout
    gradients: Float[Tensor, "S D"]
    counts: Mapping[str, int]
    scatter: Float[Tensor, "S D"] | None = None
    freedom: Mapping[str, int] | None = None
    drawn: Float[Tensor, "S D"] | None = None

    @property
    def measured(self) -> dict[str, Float[Tensor, "S D"]]:
        """What was measured in every dimension beside the gradients, by name."""
        pairs = (("scatter", self.scatter), ("drawn", self.drawn))
        return {name: values for name, values in pairs if values is not None}

    @cached_property
    def per_row(self) -> Float[Tensor, "S R width"]:
        """The gradients in rows of ``WIDTH``."""
        return self.gradients.view(self.gradients.shape[0], self.layout.size // WIDTH, WIDTH)


def sum_of(values: Tensor, axis: int = 0) -> Tensor:
    """Sum over an axis; of few, one after the other, which is twice as fast on a CPU as a reduction."""
    if values.shape[axis] > FEW:
        return values.sum(axis)
    first, *others = values.unbind(axis)
    total = first + others[0] if others else first.clone()
    for other in others[1:]:
        total = total.add_(other)
    return total


class LastAxis(Pool):
    """Pools over the last axis: values are those of one block, [..., D].

    Added up in the order in which a Layout does it, so that both agree to the last bit.
    """

    def sum(self, values: Float[Tensor, "*any D"]) -> Float[Tensor, "*any 1"]:
        """See the class."""
        padded = functional.pad(values, (0, -values.shape[-1] % WIDTH))
        rows = padded.reshape(-1, padded.shape[-1] // WIDTH, WIDTH).sum(-1)
        index = torch.zeros(rows.shape[-1], dtype=torch.int64, device=rows.device)
        total = rows.new_zeros(len(rows), 1).index_add_(1, index, rows)
        return total.view(*values.shape[:-1], 1)

    def mean(self, values: Float[Tensor, "*any D"]) -> Float[Tensor, "*any 1"]:
        """See the class."""
        return self.sum(values) / values.shape[-1]


@dataclass(frozen=True)
class OverBlocks(Pool):
    """Pools over each block of a layout: values are in rows, [..., R, width]."""

    layout: Layout

    def sum(self, values: Float[Tensor, "*any R width"]) -> Float[Tensor, "*any R 1"]:
        """See the class; what fills up last rows does not count."""
        rows = (values * self.layout.mask(values)).sum(-1)
        return self.layout.spread(self.layout.sum(rows.view(-1, rows.shape[-1]))).view(*rows.shape, 1)

    def mean(self, values: Float[Tensor, "*any R width"]) -> Float[Tensor, "*any R 1"]:
        """See the class."""
        rows = (values * self.layout.mask(values)).sum(-1)
        return self.layout.spread(self.layout.mean(rows.view(-1, rows.shape[-1]))).view(*rows.shape, 1)


ONE_BLOCK: Final = LastAxis()


def arrange(reached: Mapping[str, set[int]], blocks: Sequence[Block]) -> list[Layout]:
    """Sort the blocks that some source reaches by how many do, and by dtype and device.

    Args:
        reached: Ids of the parameters that each source reaches, by source, fusion first.
        blocks: All blocks of a partition.
    """
    groups: dict[tuple[object, ...], list[tuple[Block, tuple[str, ...]]]] = {}
    for block in blocks:
        own = tuple(s for s, ids in reached.items() if any(id(p) in ids for p in block.parameters))
        if own:
            first = block.parameters[0]
            groups.setdefault((len(own), first.dtype, first.device), []).append((block, own))
    return [Layout(*zip(*sorted(found, key=lambda pair: pair[1]), strict=True)) for found in groups.values()]
