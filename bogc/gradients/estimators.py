"""How the moments of one source's gradient are estimated from a batch: per sample, by groups, over steps.

Cost for one source, in backward passes of that source's loss: ``Streaming`` 1, ``Grouped(C)`` C,
``PerSample`` N, and ``PerRow``, the default, 1 with products of about the cost of half another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.gradients.blocks import Block
from bogc.gradients.moment_estimator import (
    Estimate,
    Losses,
    MomentEstimator,
    State,
    block_gradients,
    check_count,
    check_enough,
)
from bogc.gradients.moments import GradientMoments
from bogc.gradients.parts import Part, Place
from bogc.gradients.per_row import PerRow
from bogc.gradients.running import RunningMoments, alike, update_all
from bogc.gradients.sample_moments import sample_moments
from bogc.gradients.source_gradients import ParameterGradients, pop_flat, reaches, source_gradients
from bogc.gradients.vjp import group_cotangents, group_sizes


@dataclass(frozen=True)
class PerSample(MomentEstimator):
    """Exact moments of all N per-sample gradients, ``chunk`` samples at a time, merged by Chan's formula.

    Raises:
        TooFewSamplesError: N = 1: one sample says nothing about a variance.
    """

    chunk: int = 16
    vectorize: bool = False

    def __post_init__(self) -> None:
        check_number("chunk", self.chunk, self.chunk >= 1, "must be at least 1", "Use 16.")

    def alike(self, losses: Losses, blocks: Sequence[Block]) -> bool:
        """See the base class: one pass a sample."""
        return False

    def estimate(
        self, losses: Losses, blocks: Sequence[Block], states: Mapping[str, State]
    ) -> dict[str, Estimate]:
        """See the base class; N backward passes, [chunk, D] floats at a time."""
        check_enough("PerSample", losses, 2)
        moments = {s: sample_moments(loss, blocks, self.chunk, self.vectorize) for s, loss in losses.items()}
        return {s: _with_means(found, states.get(s, {})) for s, found in moments.items()}

    def measure(
        self, losses: Losses, blocks: Sequence[Block], places: Mapping[str, Place]
    ) -> dict[str, Part]:
        """See the base class."""
        moments = {s: sample_moments(loss, blocks, self.chunk, self.vectorize) for s, loss in losses.items()}
        return {s: Part.of_moments(m, len(losses[s]), places[s].count) for s, m in moments.items()}

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        check_count("PerSample", part.counts[0], 2)
        return _with_means(part.moments(), state)


@dataclass(frozen=True)
class Grouped(MomentEstimator):
    """Moments from the means of ``groups`` interleaved groups: unbiased, with groups - 1 degrees of freedom.

    Raises:
        TooFewSamplesError: Fewer samples than groups.
    """

    groups: int = 4
    vectorize: bool = False

    def __post_init__(self) -> None:
        check_number("groups", self.groups, self.groups >= 2, "must be at least 2", "Use 2, 4 or 8.")

    def estimate(
        self, losses: Losses, blocks: Sequence[Block], states: Mapping[str, State]
    ) -> dict[str, Estimate]:
        """See the base class; one backward pass a group."""
        check_enough(f"Grouped({self.groups})", losses, self.groups)
        moments = {s: self._of_source(loss, blocks) for s, loss in losses.items()}
        return {s: _with_means(found, states.get(s, {})) for s, found in moments.items()}

    def measure(
        self, losses: Losses, blocks: Sequence[Block], places: Mapping[str, Place]
    ) -> dict[str, Part]:
        """See the base class."""
        return {source: self._part(loss, blocks, places[source]) for source, loss in losses.items()}

    def sizes(self, first: int, count: int) -> tuple[int, ...]:
        """See the base class."""
        return group_sizes(first, count, self.groups)

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        check_count(f"Grouped({self.groups})", sum(part.counts), self.groups)
        rows = part.rows.items()
        moments = {n: GradientMoments.from_groups(g, g.new_tensor(part.counts)) for n, g in rows}
        return _with_means(moments, state)

    def _part(self, losses: Float[Tensor, " N"], blocks: Sequence[Block], place: Place) -> Part:
        counts = self.sizes(place.start, place.count)
        cotangents = group_cotangents(losses, self.groups, place.first, counts)
        rows = block_gradients(losses, blocks, cotangents, self.vectorize)
        return Part(rows, self.sizes(place.first, len(losses)), counts)

    def _of_source(self, losses: Float[Tensor, " N"], blocks: Sequence[Block]) -> dict[str, GradientMoments]:
        cotangents = group_cotangents(losses, self.groups)
        sizes = (cotangents > 0).sum(1).to(losses.dtype)
        rows = block_gradients(losses, blocks, cotangents, self.vectorize)
        return {name: GradientMoments.from_groups(g, sizes.to(g.dtype)) for name, g in rows.items()}


@dataclass(frozen=True)
class Streaming(MomentEstimator):
    """Variance of the batch gradient over past steps, with exponential forgetting.

    The current batch is not in its own variance, so under a fixed prior the weights do not depend on the draw
    that they weigh; an empirical-Bayes prior does take the batch in. What drifts between steps counts as
    noise; that is the price of the single pass. A variance is reported after ``warmup`` batches.
    """

    decay: float = 0.9
    warmup: int = 5

    def __post_init__(self) -> None:
        check_number("decay", self.decay, 0 < self.decay < 1, "must lie in (0, 1)", "Use 0.9.")
        check_number("warmup", self.warmup, self.warmup >= 2, "must be at least 2", "Use 5.")

    def estimate(
        self, losses: Losses, blocks: Sequence[Block], states: Mapping[str, State]
    ) -> dict[str, Estimate]:
        """See the base class; one backward pass a source."""
        gradients = source_gradients(losses, blocks)
        return {
            s: self._conclude(_means(found, blocks), states.get(s, {}), len(losses[s]))
            for s, found in gradients.items()
        }

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        return self._conclude({name: rows[0] for name, rows in part.rows.items()}, state, part.counts[0])

    def _conclude(self, means: dict[str, Tensor], state: State, count: int) -> Estimate:
        past = {name: RunningMoments(**state[name]) for name in means if name in state}
        known = {name: running for name, running in past.items() if running.steps >= self.warmup}
        moments = _lagged({name: means[name] for name in known}, list(known.values()), count)
        before = [past.get(name) or RunningMoments.empty(mean) for name, mean in means.items()]
        after = update_all(before, list(means.values()), self.decay)
        seen = {name: vars(running) for name, running in zip(means, after, strict=True)}
        return Estimate(moments, means, {**state, **seen})


def _means(gradients: ParameterGradients, blocks: Sequence[Block]) -> dict[str, Tensor]:
    """Flatten by block, each that is reached; ``gradients`` is emptied."""
    reached = [block for block in blocks if reaches(block, gradients)]
    return {block.name: pop_flat([block], gradients) for block in reached}


def _lagged(
    means: Mapping[str, Tensor], past: Sequence[RunningMoments], count: int
) -> dict[str, GradientMoments]:
    """Moments of the current means with the variance of the past batch means, times N for one sample."""
    names, found = list(means), {}
    for members in alike(past).values():
        first = past[members[0]]
        degrees = first.degrees_of_freedom
        factor = count * degrees / (first.weight - first.squared_weight / first.weight)
        scatters = torch._foreach_mul([past[i].scatter for i in members], factor)
        for i, scatter in zip(members, scatters, strict=True):
            mean = means[names[i]]
            found[names[i]] = GradientMoments.unchecked(
                mean=mean,
                scatter=scatter,
                count=mean.new_full((1,), count),
                degrees_of_freedom=mean.new_full((1,), degrees),
            )
    return {name: found[name] for name in names}


def _with_means(moments: dict[str, GradientMoments], state: State) -> Estimate:
    return Estimate(moments, {name: m.mean for name, m in moments.items()}, state)


ESTIMATORS: Final[dict[str, type[MomentEstimator]]] = {
    "per-sample": PerSample,
    "per-row": PerRow,
    "grouped": Grouped,
    "streaming": Streaming,
}
