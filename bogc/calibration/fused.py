"""The chain as a pass over all blocks at once, for pipelines that have a closed form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.calibration.batch import Batch, Constants
from bogc.calibration.calibrator import (
    UPDATE,
    Calibration,
    Calibrator,
    Means,
    Moments,
    States,
    gradient_name,
    gradient_parts,
    plain_sum,
)
from bogc.calibration.closed_form import ClosedForm
from bogc.calibration.kernels import Kernel
from bogc.calibration.layout import Layout, block_sizes, layout, spread
from bogc.calibration.pipeline import CalibratedBlock, Pipeline, calibrate_block
from bogc.calibration.pooled import gather, least_scatter, propose, scatter
from bogc.calibration.scaling import Scaling
from bogc.gradients import GradientMoments

FIELDS: Final = ("mean", "scatter")


class Part(NamedTuple):
    """Some blocks after a pass.

    Attributes:
        names: Of the blocks.
        layout: Where each lies in ``directions``.
        directions: Of all, not scaled yet.
        squares: Their squared lengths, [B].
        plain: Squared lengths of the plain sums, [B].
    """

    names: list[str]
    layout: Layout
    directions: Tensor
    squares: Tensor
    plain: Tensor

    def scale(self, factors: Float[Tensor, " B"]) -> dict[str, Tensor]:
        """Multiply each block in place, and return views by name."""
        columns = spread(self.layout, factors.to(self.squares).unsqueeze(0))
        for piece, (column,) in zip(self.layout.split(self.directions), columns, strict=True):
            piece.mul_(column)
        return dict(zip(self.names, self.layout.blocks(self.directions), strict=True))


class Stations(Mapping[str, CalibratedBlock]):
    """The stations of each block, computed by the chain of objects when they are asked for, once."""

    def __init__(self, moments: Moments, states: States, pipeline: Pipeline) -> None:
        self._moments, self._states, self._pipeline = moments, states, pipeline
        self._found: dict[str, CalibratedBlock] = {}

    def __getitem__(self, name: str) -> CalibratedBlock:
        if name not in self._found:
            states = self._states.get(name, {})
            self._found[name], _ = calibrate_block(self._moments[name], states, self._pipeline)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._moments)

    def __len__(self) -> int:
        return len(self._moments)


@dataclass(frozen=True)
class Fused(Calibrator):
    """What Blockwise computes, from sums over the blocks and a closed form in each dimension.

    Half precision is computed in float32, and so are its updates.

    Attributes:
        pipeline: The choices.
        form: Their closed form.
        scaling: The length of the updates.
        kernel: How a pass is run.
        directions: Memory of the last call's updates, which the next call writes over, by first block.
    """

    pipeline: Pipeline
    form: ClosedForm
    scaling: Scaling
    kernel: Kernel
    directions: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, means: Means, moments: Moments, states: States) -> Calibration:
        """See the base class."""
        following, parts = dict(states), []
        waiting = {name: sources for name, sources in means.items() if name not in moments}
        finite = gradient_parts(waiting)
        for names in _groups(moments):
            part, squares, state = self._pass({name: moments[name] for name in names}, states)
            parts.append(part)
            following |= state
            for source, own in _by_source(squares, [tuple(moments[name]) for name in names]):
                finite.setdefault(gradient_name(source), []).append(own)
        plain = {name: plain_sum(sources) for name, sources in waiting.items()}
        updates, factors = self._scale(parts, plain)
        finite[UPDATE] = [*(part.squares for part in parts), *plain.values(), factors]
        return Calibration(updates, Stations(moments, states, self.pipeline), following, finite)

    def _pass(self, moments: Moments, states: States) -> tuple[Part, Float[Tensor, "S B"], States]:
        """Directions of blocks that equally many sources reach, sums of squared gradients, and states."""
        names, sources = list(moments), [list(own) for own in moments.values()]
        found = [list(column) for column in zip(*(own.values() for own in moments.values()), strict=True)]
        gradients, scatters = ([[getattr(m, field) for m in row] for row in found] for field in FIELDS)
        chunk = self.kernel.chunk_on(gradients[0][0].device)
        batch = Batch.of(layout(tuple(map(len, gradients[0])), chunk), gradients, scatters)
        like = gradients[0][0].new_empty(0, dtype=batch.dtype)
        freedom = _table([m.degrees_of_freedom for row in found for m in row], found, like)
        per_scatter = 1 / (freedom * _table([m.count for row in found for m in row], found, like))
        sizes = block_sizes(batch.layout, like.dtype, like.device)
        sums = self.kernel.sums(batch)
        squares, totals, plain = sums.split([len(found), len(found), 1])
        floors = least_scatter(totals, sizes, freedom)
        tables = gather(states, names, sources, like)
        noise = totals / sizes * per_scatter
        scales, tables = propose(self.pipeline.prior, squares / sizes, noise, tables)
        given = Constants(floors, 2 * per_scatter, 2 * scales)
        directions = self._memory(names[0], batch.layout.length, like)
        lengths = self.kernel.directions(self.form, batch, given, directions)
        part = Part(names, batch.layout, directions, lengths, plain[0])
        return part, squares, scatter(tables, states, names, sources)

    def _memory(self, name: str, length: int, like: Tensor) -> Tensor:
        """Uninitialised, where possible that of the last call."""
        last = self.directions.get(name)
        if last is None or (len(last), last.dtype, last.device) != (length, like.dtype, like.device):
            self.directions[name] = like.new_empty(length)
        return self.directions[name]

    def _scale(self, parts: list[Part], plain: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Scale everything in place; return it by block, and the factors."""
        own = [torch.linalg.vector_norm(value).view(1) for value in plain.values()]
        lengths = _join([*(part.squares.sqrt() for part in parts), *own])
        factors = self.scaling.factors(lengths, _join([*(part.plain.sqrt() for part in parts), *own]))
        *shares, rest = factors.split([*(len(part.names) for part in parts), len(plain)])
        updates: dict[str, Tensor] = {}
        for part, share in zip(parts, shares, strict=True):
            updates |= part.scale(share)
        for (name, value), factor in zip(plain.items(), rest.unbind(), strict=True):
            updates[name] = value.mul_(factor.to(value))
        return updates, factors


def _table(columns: list[Tensor], like_rows: list[list[GradientMoments]], like: Tensor) -> Tensor:
    """Numbers of each source and block, [S, B]."""
    return torch.cat(columns).to(like.dtype).view(len(like_rows), -1)


def _join(values: list[Tensor]) -> Tensor:
    """Concatenate on the device of the first."""
    return torch.cat([value.to(values[0].device) for value in values])


def _groups(moments: Moments) -> Iterator[list[str]]:
    """Yield the names of blocks that equally many sources reach, with one dtype and device each.

    Which sources these are makes no difference to the pass; blocks of the same ones are neighbours.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, sources in moments.items():
        mean = next(iter(sources.values())).mean
        groups.setdefault((len(sources), mean.dtype, mean.device), []).append(name)
    for names in groups.values():
        yield sorted(names, key=lambda name: tuple(moments[name]))


def _by_source(rows: Float[Tensor, "S B"], sources: list[tuple[str, ...]]) -> Iterator[tuple[str, Tensor]]:
    """Yield the numbers of each run of blocks that have the same sources, by source."""
    start = 0
    for own, run in groupby(sources):
        end = start + len(list(run))
        yield from zip(own, rows[:, start:end].unbind(), strict=True)
        start = end
