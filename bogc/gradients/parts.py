"""Parts of a batch: what the samples of one process or micro-batch say about the whole batch's gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bogc.gradients.blocks import Block
from bogc.gradients.moments import GradientMoments
from bogc.gradients.team import Team


@dataclass(frozen=True)
class Place:
    """Where a source's samples of this process lie in the batch.

    Samples are numbered micro-batch by micro-batch, and within one in the order of the processes.

    Attributes:
        first: Number of this process' first sample.
        start: Number of the first sample of the micro-batch, over all processes.
        count: Samples of the micro-batch over all processes.
    """

    first: int
    start: int
    count: int

    @classmethod
    def of(cls, samples: int) -> "Place":
        """The whole batch."""
        return cls(0, 0, samples)


@dataclass(frozen=True, eq=False)
class Part:
    """What some samples of a batch say about one source's gradient, in C groups of samples.

    Attributes:
        rows: By block, [C, D]: the sum of these samples' gradients in each group, over ``counts``. A block
            that they do not reach is absent.
        sizes: How many of these samples each group has, [C].
        counts: How many samples each group of the batch has, the parts of other processes included, [C].
        scatter: By block, [D]: sum of squared deviations of the single samples from their mean; only of
            parts with one group, and empty if it was not measured.
    """

    rows: dict[str, Tensor]
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    scatter: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of_moments(cls, moments: Mapping[str, GradientMoments], samples: int, count: int) -> "Part":
        """Part of ``samples`` samples, whose moments [D] are given by block, in a batch of ``count``."""
        rows = {name: m.mean.unsqueeze(0) * (samples / count) for name, m in moments.items()}
        return cls(rows, (samples,), (count,), {name: m.scatter for name, m in moments.items()})

    def moments(self) -> dict[str, GradientMoments]:
        """Moments [D] by block of a whole batch in one group whose scatter was measured."""
        (count,) = self.counts
        return {
            name: GradientMoments.unchecked(
                mean=rows[0],
                scatter=self.scatter[name],
                count=rows.new_full((1,), count),
                degrees_of_freedom=rows.new_full((1,), count - 1),
            )
            for name, rows in self.rows.items()
        }

    def mean(self, name: str) -> Tensor | float:
        """Mean gradient [D] of a part with one group in block ``name``; 0 where nothing is reached."""
        if name not in self.rows or self.sizes[0] == 0:
            return 0.0
        return self.rows[name][0] * (self.counts[0] / self.sizes[0])

    def merge(self, later: "Part") -> "Part":
        """Return the union with a part of a later micro-batch; scatter by Chan's formula (1979)."""
        counts = tuple(a + b for a, b in zip(self.counts, later.counts, strict=True))
        names = list(dict.fromkeys([*self.rows, *later.rows]))
        rows = {name: _weighted(name, (self, later), counts) for name in names}
        sizes = tuple(a + b for a, b in zip(self.sizes, later.sizes, strict=True))
        scatter: dict[str, Tensor] = {}
        if self.scatter or later.scatter:
            between = self.sizes[0] * later.sizes[0] / max(sizes[0], 1)
            for name in names:
                gap = torch.as_tensor(self.mean(name) - later.mean(name))
                within = [part.scatter[name] for part in (self, later) if name in part.scatter]
                scatter[name] = torch.stack(within).sum(0) + between * gap.square()
        return Part(rows, sizes, counts, scatter)


def _weighted(name: str, parts: Sequence[Part], counts: Sequence[int]) -> Tensor:
    """Rows of the union, each group weighted by its samples."""
    terms = []
    for part in parts:
        if name in part.rows:
            row = part.rows[name]
            shares = [own / max(all_, 1) for own, all_ in zip(part.counts, counts, strict=True)]
            terms.append(row * row.new_tensor(shares).unsqueeze(1))
    return torch.stack(terms).sum(0)


def reduce_parts(parts: Mapping[str, Part], blocks: Sequence[Block], team: Team) -> dict[str, Part]:
    """Add up the parts of all processes: means weighted by counts, scatter by Chan's formula.

    Args:
        parts: By source; every source of the batch, also those without samples here, in one order.
        blocks: All blocks of the partition.
        team: The processes.

    Returns:
        The whole batch by source, the same in every process to the last bit.
    """
    if team.size == 1:
        return dict(parts)
    pairs = _reached(parts, blocks, team)
    summed = iter(team.sum([_rows(parts[source], block) for source, block in pairs]))
    rows: dict[str, dict[str, Tensor]] = {source: {} for source in parts}
    for source, block in pairs:
        rows[source][block.name] = next(summed)
    scatter: dict[str, dict[str, Tensor]] = {source: {} for source in parts}
    if any(part.scatter for part in parts.values()):  # the fusion loss has samples in every process
        about = [_scatter(parts[s], b.name, rows[s][b.name][0]) for s, b in pairs]
        summed = iter(team.sum(about))
        for source, block in pairs:
            scatter[source][block.name] = next(summed)
    return {s: Part(rows[s], part.counts, part.counts, scatter[s]) for s, part in parts.items()}


def _reached(parts: Mapping[str, Part], blocks: Sequence[Block], team: Team) -> list[tuple[str, Block]]:
    """Sources and blocks that meet in any process."""
    own = [int(block.name in part.rows) for part in parts.values() for block in blocks]
    every = team.gather(own, blocks[0].parameters[0])
    pairs = [(source, block) for source in parts for block in blocks]
    return [pair for pair, *seen in zip(pairs, *every, strict=True) if any(seen)]


def _rows(part: Part, block: Block) -> Tensor:
    if block.name in part.rows:
        return part.rows[block.name]
    return block.parameters[0].new_zeros(len(part.counts), block.size)


def _scatter(part: Part, name: str, mean: Tensor) -> Tensor:
    """Sum of squared deviations of this part's samples from the mean of the whole batch."""
    between = part.sizes[0] * (part.mean(name) - mean).square()
    return part.scatter[name] + between if name in part.scatter else between
