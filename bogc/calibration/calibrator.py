"""All blocks at once: gradients of a step in, scaled updates out, and what is carried on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bogc.calibration.memory import Memory
from bogc.calibration.pipeline import CalibratedBlock, Pipeline, stations
from bogc.calibration.scaling import Scaling
from bogc.calibration.tracker import Known, Look, MomentTracker, Numbers, Rows, joined, rows_of
from bogc.errors import FrameError, StateError
from bogc.gradients import ONE_BLOCK, GradientGroup, GradientMoments, MomentEstimator, OverBlocks
from bogc.gradients.groups import WIDTH, sum_of
from bogc.posterior import BlockSums, GradientPrior


class Calibrator:
    """Calibrates groups of gradients and sets the length of their updates; never waits for the device.

    Args:
        estimator: Where the variance of a gradient comes from.
        pipeline: The choices between moments and update.
        scaling: The length of the updates.
        compiled: Run the elementwise arithmetic through torch.compile.
    """

    def __init__(
        self, estimator: MomentEstimator, pipeline: Pipeline, scaling: Scaling, compiled: bool = False
    ) -> None:
        self.pipeline, self.scaling = pipeline, scaling
        prior = pipeline.prior
        self.tracker = MomentTracker(estimator, prior.lags, pipeline.route.remembers, prior.names)
        self.arithmetic = torch.compile(self._arithmetic) if compiled else self._arithmetic
        self.whole = pipeline.pools  # rather than piece by piece, to stay in the cache
        self.ready_at = self.tracker.start + bool(prior.names)

    def look(self, groups: Sequence[GradientGroup], memory: Memory) -> list[Look]:
        """Measure the gradients, before anything is changed.

        Raises:
            FrameError: A block of one dimension is its own frame.
        """
        if self.pipeline.evidence.frame.pools:
            lone = [b.name for group in groups for b in group.layout.blocks if b.size < 2]
            if lone:
                rule = "must have 2 dimensions or more in a frame of dimensions"
                raise FrameError(
                    f"block {lone[0]!r}", rule, 1, "Use the sign frame, or freeze that parameter."
                )
        return self.tracker.look(groups, memory)

    def calibrate(self, looks: Sequence[Look], memory: Memory) -> "Calibration":
        """Take finite gradients into ``memory`` and return their updates."""
        passes = [self._pass(look) for look in looks]
        lengths = joined([done.lengths.to(passes[0].lengths) for done in passes], 0)
        plain = joined([done.plain.to(lengths) for done in passes], 0)
        factors = self.scaling.factors(lengths.sqrt(), plain.sqrt())
        gradients: dict[nn.Parameter, Tensor] = {}
        spare: dict[tuple[object, ...], Tensor] = {}
        for done, own in zip(passes, factors.split([d.lengths.shape[0] for d in passes]), strict=True):
            layout = done.look.group.layout
            done.factors.append(own.to(done.direction) * (memory.unit or 1.0))
            done.direction.view(-1, WIDTH).mul_(layout.spread(done.factors[0]))
            gradients |= layout.unpack(done.direction)
            freed = done.look.memory.remember(done.look.group, self.tracker.names.past)
            if freed is not None:
                spare[layout.key] = freed
        memory.put([done.look.memory for done in passes])
        return Calibration(gradients, CalibratedBlocks(passes, self), spare)

    def _pass(self, look: Look) -> "Pass":
        """Take a group in, and write its directions."""
        group, layout, tracker = look.group, look.group.layout, self.tracker
        ready, known = tracker.ready(look.memory, self.ready_at), tracker.begin(look)
        scale = self._scale(look, known)
        direction = group.gradients.new_empty(layout.size)
        written = direction.view(-1, WIDTH)
        chunks = [slice(None)] if self.whole else layout.chunks(direction.device)
        found = [self._chunk(look, known, scale, ready, rows, written[rows]) for rows in chunks]
        tracker.close(look, known, [chunk.gaps for chunk in found])
        sums = found[0] if len(found) == 1 else _together(found)
        self._learn(look, known, sums)
        lengths, plain = (layout.sum(rows.square().unsqueeze(0))[0] for rows in (sums.lengths, sums.plain))
        return Pass(look, known, scale, direction, lengths, plain, ready)

    def _chunk(
        self, look: Look, known: Known, scale: Tensor, ready: bool | Tensor, rows: slice, out: Tensor
    ) -> "Sums":
        """One pass over some rows: what is remembered of them, their directions, and sums over each row."""
        layout, table = look.group.layout, look.memory.table
        phi = layout.spread(table["phi"])[:, rows] if self.pipeline.route.remembers else None
        mixed = layout.spread(ready)[rows] if isinstance(ready, Tensor) else None
        given = Given(rows_of(look, rows), known.rows(rows), scale[:, rows], phi, mixed)
        if ready is False:
            return self._observe(given, out)
        return self.arithmetic(given, out, OverBlocks(layout))

    def _scale(self, look: Look, known: Known) -> Tensor:
        """What the prior makes tau^2 of, over rows."""
        start = self.tracker.start
        records = (
            (known.seen - start).clamp_min(1)
            if isinstance(known.seen, Tensor)
            else max(known.seen - start, 1)
        )
        scale = self.pipeline.prior.scale(look.memory.table, records, known.level, known.count)
        if scale.device != known.noise.device:  # a number of the host is added, not copied
            scale = torch.zeros_like(known.noise) + scale
        return look.group.layout.spread(scale.to(known.noise).expand_as(known.noise))

    def _learn(self, look: Look, known: Known, sums: "Sums") -> None:
        """Take sums over rows into the prior, where there is a variance."""
        prior, layout, start = self.pipeline.prior, look.group.layout, self.tracker.start
        seen = known.seen
        if not prior.names or (isinstance(seen, int) and seen < start):
            return
        square = layout.mean(look.norms.square())
        root = square if sums.roots is None else layout.mean(sums.roots, known.fill)
        products = () if sums.products is None else tuple(layout.mean(rows) for rows in sums.products)
        found = BlockSums(square, known.noise, root, products, known.level, known.count)
        if isinstance(seen, Tensor):
            square, noise, root = (v.masked_fill(seen < start, 0) for v in (square, known.noise, root))
            products = tuple(value.masked_fill(seen < start, 0) for value in products)
            found = BlockSums(square, noise, root, products, known.level, known.count)
        prior.learn(found, look.memory.table)

    def prior(self, moments: GradientMoments, scale: Tensor) -> GradientPrior:
        """Prior of every dimension."""
        return GradientPrior.centred(self.pipeline.prior.variance(scale, moments))

    def _observe(self, given: "Given", out: Tensor) -> "Sums":
        """Take some rows in, where no prior is known yet: the update is the plain sum."""
        gaps = self.tracker.advance(*given.rows, given.known)
        total = out.copy_(sum_of(given.rows.gradients))
        moments = self.tracker.moments(given.rows.gradients, given.rows.dims, given.known)
        length = torch.linalg.vector_norm(total, dim=-1)
        return Sums(gaps, *self._products(given, moments), length, length)

    def _arithmetic(self, given: "Given", out: Tensor, pool: OverBlocks) -> "Sums":
        """Take some rows in and write their direction: all that grows with the number of dimensions."""
        gradients, _, dims = given.rows
        gaps = self.tracker.advance(*given.rows, given.known)
        moments = self.tracker.moments(gradients, dims, given.known)
        prior = self.prior(moments, given.scale)
        if given.phi is not None:
            self.pipeline.route.remember(moments, prior, dims, given.phi)
        posterior = self.pipeline.route.posterior(moments, prior, dims, pool)
        total = sum_of(gradients)
        direction = self.pipeline.update(moments, posterior, prior, pool)[2].direction
        if given.ready is not None:
            direction = torch.where(given.ready, direction, total)
        out.copy_(direction)
        lengths = (torch.linalg.vector_norm(values, dim=-1) for values in (direction, total))
        return Sums(gaps, *self._products(given, moments), *lengths)

    def _products(self, given: "Given", moments: GradientMoments) -> tuple[Tensor | None, Tensor | None]:
        """Sums over rows of sqrt(v), [S, r], and of products with earlier gradients over it, [lags, S, r]."""
        past = given.rows.past[: self.tracker.lags]
        if not past:
            return None, None
        products = [(moments.mean * values).div_(moments.root).sum(-1) for values in past]
        return moments.root.sum(-1), torch.stack(products)


class Given(NamedTuple):
    """Some rows of a group, what is known of them, prior's scale, a filter's phi, and which are ready."""

    rows: Rows
    known: Numbers
    scale: Tensor
    phi: Tensor | None
    ready: Tensor | None


class Sums(NamedTuple):
    """Of rows: lengths of gaps, sums of sqrt(v) and of products, lengths of directions and plain sums."""

    gaps: Tensor | None
    roots: Tensor | None
    products: Tensor | None
    lengths: Tensor
    plain: Tensor


def _together(chunks: Sequence[Sums]) -> Sums:
    """Put the rows of all chunks side by side."""
    columns: Any = zip(zip(*chunks, strict=True), (1, 1, 2, 0, 0), strict=True)
    found: Any = (None if rows[0] is None else torch.cat(rows, axis) for rows, axis in columns)
    return Sums(*found)


@dataclass(frozen=True, eq=False)
class Pass:
    """What calibrating a group gave.

    Attributes:
        look: At its gradients.
        known: Of its noise.
        scale: What the prior makes tau^2 of, [S, R, 1].
        direction: [D].
        lengths: Squared lengths of the directions, [B].
        plain: Of the plain sums.
        ready: Whether there was a prior of every source, by block where they differ.
        factors: One tensor [B], what the directions were multiplied by; once it is known.
    """

    look: Look
    known: Known
    scale: Tensor
    direction: Tensor
    lengths: Tensor
    plain: Tensor
    ready: bool | Tensor
    factors: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a step gave.

    Attributes:
        gradients: Parameter -> update.
        blocks: The stations of the calibrated blocks.
        spare: Memory that the next step may write over.
    """

    gradients: dict[nn.Parameter, Tensor]
    blocks: "CalibratedBlocks"
    spare: dict[tuple[object, ...], Tensor]


class CalibratedBlocks(Mapping[str, CalibratedBlock]):
    """The stations of each block by name, computed when they are asked for, until the next step."""

    def __init__(self, passes: Sequence[Pass], calibrator: Calibrator) -> None:
        self._calibrator = calibrator
        self._expired = False
        self._places: dict[str, tuple[Pass, int]] = {}
        for done in passes:
            for index, block in enumerate(done.look.group.layout.blocks):
                if done.ready is True or (isinstance(done.ready, Tensor) and bool(done.ready[index])):
                    self._places[block.name] = (done, index)

    def expire(self) -> None:
        """Refuse to answer from now on: the memory is about to be written over."""
        self._expired = True

    def __getitem__(self, name: str) -> CalibratedBlock:
        done, index = self._places[name]
        if self._expired:
            remedy = "Read it before the next backward()."
            raise StateError("info", "must be that of the last step", "one of an earlier step", remedy)
        group, layout, calibrator = done.look.group, done.look.group.layout, self._calibrator
        start, row = layout.starts[index], layout.starts[index] // WIDTH
        cut = slice(start, start + layout.blocks[index].size)
        every = done.look.memory.dims | group.measured
        dims = {key: values[:, cut] for key, values in every.items()}
        found = calibrator.tracker.moments(group.gradients[:, cut], dims, done.known.rows(row))
        numbers = {
            name: getattr(found, name).expand(len(found.mean), 1) for name in ("count", "degrees_of_freedom")
        }
        moments = GradientMoments.unchecked(mean=found.mean, scatter=found.scatter, **numbers)
        prior = calibrator.prior(moments, done.scale[:, row])
        posterior = calibrator.pipeline.route.posterior(moments, prior, dims, ONE_BLOCK)
        shown = stations(layout.sources[index], moments, prior, posterior, calibrator.pipeline)
        return replace(shown, length=done.factors[0][index])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
