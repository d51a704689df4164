"""How the moments of one source's gradient are estimated from a batch: per sample, by groups, over steps.

Cost for one source, in backward passes of that source's loss: ``Streaming`` 1, ``Grouped(C)`` C,
``PerSample`` N. Streaming is the training default because it alone costs no pass beyond the gradient itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import TooFewSamplesError
from bogc.gradients.blocks import Block
from bogc.gradients.moments import GradientMoments
from bogc.gradients.parts import Part, Place
from bogc.gradients.running import RunningMoments
from bogc.gradients.vjp import (
    group_cotangents,
    group_sizes,
    mean_cotangent,
    sample_cotangents,
    vector_jacobian_products,
)

State = Mapping[str, dict[str, Any]]
Losses = Mapping[str, Float[Tensor, " _"]]


class Estimate(NamedTuple):
    """What one source's batch says, by block name; blocks that the loss does not reach are absent.

    Attributes:
        moments: Moments [D]; a block whose variance is not known yet has none.
        means: Gradient of the mean loss, [D].
        state: What the next call for this source is to be given.
    """

    moments: dict[str, GradientMoments]
    means: dict[str, Tensor]
    state: State


def block_gradients(
    losses: Float[Tensor, " N"],
    blocks: Sequence[Block],
    cotangents: Float[Tensor, "rows N"],
    vectorize: bool = False,
) -> dict[str, Float[Tensor, "rows D"]]:
    """Return the gradient rows of each block that ``losses`` reach, flattened."""
    parameters = [parameter for block in blocks for parameter in block.parameters]
    gradients = iter(vector_jacobian_products(losses, parameters, cotangents, vectorize=vectorize))
    rows = {block.name: block.flatten([next(gradients) for _ in block.parameters]) for block in blocks}
    return {name: row for name, row in rows.items() if row is not None}


class MomentEstimator(ABC):
    """Estimates the gradient moments of one source, block by block, without changing anything.

    First the batch is measured, in parts if it is spread over processes or micro-batches; what the parts say
    adds up to what the batch says, from which the moments follow.
    """

    alike: ClassVar[bool] = True
    """Whether every process makes as many backward passes as the others, whatever samples it has."""

    def measure(
        self, losses: Losses, blocks: Sequence[Block], places: Mapping[str, Place]
    ) -> dict[str, Part]:
        """Differentiate the losses of each source, which stand at ``places`` in the batch."""
        return {source: self.measure_source(loss, blocks, places[source]) for source, loss in losses.items()}

    def measure_source(self, losses: Float[Tensor, " N"], blocks: Sequence[Block], place: Place) -> Part:
        """Differentiate the losses of one source; here, for the mean alone in one pass."""
        rows = block_gradients(losses, blocks, mean_cotangent(losses, place.count))
        return Part(rows, self.sizes(place.first, len(losses)), self.sizes(place.start, place.count))

    def sizes(self, first: int, count: int) -> tuple[int, ...]:
        """How many of ``count`` samples from number ``first`` on fall into each group of a part."""
        return (count,)

    @abstractmethod
    def conclude(self, part: Part, state: State) -> Estimate:
        """Moments from the whole batch; ``state`` is the last call's for this source, ``{}`` at first.

        Only Streaming uses it.
        """

    def estimate(self, losses: Float[Tensor, " N"], blocks: Sequence[Block], state: State) -> Estimate:
        """Measure and conclude, where ``losses`` are the whole batch."""
        return self.conclude(self.measure_source(losses, blocks, Place.of(len(losses))), state)


@dataclass(frozen=True)
class PerSample(MomentEstimator):
    """Exact moments of all N per-sample gradients, ``chunk`` samples at a time, merged by Chan's formula.

    Raises:
        TooFewSamplesError: N = 1: one sample says nothing about a variance.
    """

    alike = False  # one pass a sample

    chunk: int = 16
    vectorize: bool = False

    def __post_init__(self) -> None:
        check_number("chunk", self.chunk, self.chunk >= 1, "must be at least 1", "Use 16.")

    def measure_source(self, losses: Float[Tensor, " N"], blocks: Sequence[Block], place: Place) -> Part:
        """See the base class; N backward passes, [chunk, D] floats at a time."""
        moments: dict[str, GradientMoments] = {}
        for cotangents in sample_cotangents(losses).split(self.chunk):
            for name, rows in block_gradients(losses, blocks, cotangents, self.vectorize).items():
                chunk = GradientMoments.from_samples(rows)
                moments[name] = moments[name].merge(chunk) if name in moments else chunk
        share = len(losses) / place.count
        means = {name: m.mean.unsqueeze(0) * share for name, m in moments.items()}
        scatter = {name: m.scatter for name, m in moments.items()}
        return Part(means, (len(losses),), (place.count,), scatter)

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        (count,) = part.counts
        _check_enough("PerSample", count, 2)
        means = {name: rows[0] for name, rows in part.rows.items()}
        moments = {
            name: GradientMoments.unchecked(
                mean=mean,
                scatter=part.scatter[name],
                count=mean.new_full((1,), count),
                degrees_of_freedom=mean.new_full((1,), count - 1),
            )
            for name, mean in means.items()
        }
        return Estimate(moments, means, state)


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

    def measure_source(self, losses: Float[Tensor, " N"], blocks: Sequence[Block], place: Place) -> Part:
        """See the base class; one backward pass a group."""
        counts = self.sizes(place.start, place.count)
        cotangents = group_cotangents(losses, self.groups, place.first, counts)
        rows = block_gradients(losses, blocks, cotangents, self.vectorize)
        return Part(rows, self.sizes(place.first, len(losses)), counts)

    def sizes(self, first: int, count: int) -> tuple[int, ...]:
        """See the base class."""
        return group_sizes(first, count, self.groups)

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        _check_enough(f"Grouped({self.groups})", sum(part.counts), self.groups)
        moments = {
            name: GradientMoments.from_groups(means, means.new_tensor(part.counts))
            for name, means in part.rows.items()
        }
        return Estimate(moments, {name: m.mean for name, m in moments.items()}, state)


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

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        (count,) = part.counts
        means = {name: rows[0] for name, rows in part.rows.items()}
        past = {name: RunningMoments(**state[name]) for name in means if name in state}
        moments = {
            name: _lagged(means[name], running, count)
            for name, running in past.items()
            if running.steps >= self.warmup
        }
        seen = {
            name: vars(past.get(name, RunningMoments.empty(mean)).update(mean, self.decay))
            for name, mean in means.items()
        }
        return Estimate(moments, means, {**state, **seen})


def _lagged(mean: Float[Tensor, " D"], past: RunningMoments, count: int) -> GradientMoments:
    """Moments of the current mean with the variance of the past batch means, times N for one sample."""
    ones = mean.new_ones(1)
    return GradientMoments.unchecked(
        mean=mean,
        scatter=past.variance * (count * past.degrees_of_freedom),
        count=ones * count,
        degrees_of_freedom=ones * past.degrees_of_freedom,
    )


def _check_enough(parameter: str, found: int, needed: int) -> None:
    if found < needed:
        raise TooFewSamplesError(
            parameter,
            f"needs at least {needed} samples in a batch",
            found,
            "Drop the last short batch, use fewer groups, or Streaming moments, which need one sample.",
        )


ESTIMATORS: Final[dict[str, type[MomentEstimator]]] = {
    "per-sample": PerSample,
    "grouped": Grouped,
    "streaming": Streaming,
}
