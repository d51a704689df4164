"""The moments of all gradients of a step, and what they need of the steps before.

A step is looked at first (``look``), and only when its gradients are known to be finite is it taken into what
is remembered: a bad batch changes nothing. Numbers of whole blocks are those of the steps before, so that one
pass over the dimensions is enough and a draw does not judge itself; the squares of single dimensions are
today's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.calibration.memory import GroupMemory, Memory, Names
from bogc.gradients import GradientGroup, GradientMoments, MomentEstimator, Successive
from bogc.posterior.prior import ABSOLUTE_FLOOR, Seen, discounted_count

RELATIVE_FLOOR: Final = 1e-6
"""Least variance within a batch, over the mean of the block: a dead unit is no infinite evidence."""
FIRST_STEPS: Final = 2
"""Gradients of a source before there is a variance over steps: one difference."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a step brings.

    Attributes:
        group: The gradients.
        memory: What is remembered of them.
        norms: Length of each row of gradients, [S, R].
    """

    group: GradientGroup
    memory: GroupMemory
    norms: Float[Tensor, "S R"]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a group's noise before a step, beside the squares in each dimension.

    Attributes:
        seen: Earlier gradients of each source and block.
        count: N, samples of the batch, one number or [S, B].
        weight: h of the difference that this step brings, likewise.
        level: What the variance is multiplied by, likewise.
        noise: Mean over each block of the variance of the batch's gradient, [S, B].
        factor: ``level`` over rows, [S, R, 1], or one number.
        least: [S, R, 1], added to the sum of squares of Successive; the floor of a scatter within the batch.
        fill: sqrt(v) where nothing was ever measured, as in what fills up the last row of a block, [S, B].
        freedom: Degrees of freedom, over rows or one number.
        samples: ``count``, likewise.
        gain: ``weight``, likewise.
    """

    seen: Seen
    count: float | Float[Tensor, "S B"]
    weight: float | Float[Tensor, "S B"]
    level: float | Float[Tensor, "S B"]
    noise: Float[Tensor, "S B"]
    fill: Float[Tensor, "S B"]
    factor: Tensor
    least: Tensor
    freedom: Tensor
    samples: Tensor
    gain: Tensor

    def rows(self, rows: slice | int) -> "Numbers":
        """What is known of some rows, or of one."""
        spread = (self.factor, self.least, self.freedom, self.samples, self.gain)
        return Numbers(*(value[:, rows] if value.ndim else value for value in spread))


class Numbers(NamedTuple):
    """Numbers of Known that are spread over rows: [S, r, 1], or one number."""

    factor: Tensor
    least: Tensor
    freedom: Tensor
    samples: Tensor
    gain: Tensor


class MomentTracker:
    """Moments of gradients over steps; never waits for the device.

    Args:
        estimator: Where the variance comes from.
        lags: How many earlier gradients are wanted.
        dims: Names of what else is remembered in every dimension.
        table: Names of what else is remembered of every block.
    """

    def __init__(
        self,
        estimator: MomentEstimator,
        lags: int = 0,
        dims: tuple[str, ...] = (),
        table: tuple[str, ...] = (),
    ) -> None:
        self.estimator, self.lags = estimator, lags
        self.successive = estimator if isinstance(estimator, Successive) else None
        own = self.successive is not None
        self.start = max(FIRST_STEPS if own else 0, lags)
        self.names = Names(
            past=max(lags, int(own)),
            dims=(*(("squares",) if own else ()), *dims),
            table=(*(("squares mean", "fast") if own else ()), *table),
        )

    def look(self, groups: Sequence[GradientGroup], memory: Memory) -> list[Look]:
        """Measure lengths, before anything is changed."""
        pairs = zip(groups, memory.align(groups, self.names), strict=True)
        return [Look(g, remembered, torch.linalg.vector_norm(g.per_row, dim=-1)) for g, remembered in pairs]

    def begin(self, look: Look) -> Known:
        """Say what is known of the noise before a step."""
        group, memory, layout = look.group, look.memory, look.group.layout
        seen = memory.steps if isinstance(memory.steps, int) else memory.steps.to(look.norms.device)
        count = _counts(group)
        level: float | Tensor
        freedom: float | Tensor
        if self.successive is not None:
            variance, least, freedom, level = self._over_steps(memory, self.successive, seen)
        else:
            variance, least, freedom, level = *_within_batch(group), 1.0
        weight: float | Tensor = 1 / (1 / count + 1 / memory.count)
        if isinstance(seen, Tensor):
            weight = torch.as_tensor(weight).to(variance).expand_as(variance).masked_fill(seen < 1, 0)
        tensors = [
            layout.spread(value) if isinstance(value, Tensor) else variance.new_full((), value)
            for value in (level, least, freedom, count, weight)
        ]
        fill = (least / (freedom * count)).sqrt_()
        return Known(seen, count, weight, level, variance * (level / count), fill, *tensors)

    def ready(self, memory: GroupMemory, steps: int) -> bool | Tensor:
        """Whether every source has had ``steps`` gradients before, [B] where blocks differ."""
        if isinstance(memory.steps, int) or steps == 0:  # then nothing is remembered, and no device known
            return steps == 0 or memory.steps >= steps
        return (memory.steps >= steps).all(0).to(memory.past[0].device)

    def advance(
        self, gradients: Tensor, past: Sequence[Tensor], dims: Mapping[str, Tensor], own: Numbers
    ) -> Tensor | None:
        """T = decay T + h (g_t - g_{t-1})^2 in some rows, in place (theory 1.27); lengths of gaps, [S, r].

        Args:
            gradients: [S, r, width] of those rows.
            past: Likewise of the steps before, newest first.
            dims: What is remembered there, by name.
            own: What is known of those rows.
        """
        if self.successive is None or not past:
            return None
        gap = gradients - past[0]
        lengths: Tensor = torch.linalg.vector_norm(gap, dim=-1)
        dims["squares"].mul_(self.successive.decay).addcmul_(gap.square_(), own.gain)
        return lengths

    def moments(self, gradients: Tensor, dims: Mapping[str, Tensor], own: Numbers) -> GradientMoments:
        """Moments of the batch in some rows, or in one block.

        Args:
            gradients: [S, r, width] of those rows, or [S, d].
            dims: What is remembered there, by name, and the scatter within the batch.
            own: What is known of those rows.
        """
        if self.successive is not None:
            scatter = (dims["squares"] * own.factor).add_(own.least)
        else:
            scatter = torch.maximum(dims["scatter"], own.least)
        return GradientMoments.unchecked(
            mean=gradients, scatter=scatter, count=own.samples, degrees_of_freedom=own.freedom
        )

    def close(self, look: Look, known: Known, gaps: list[Tensor | None]) -> None:
        """Take the gaps of all rows into what is remembered of the blocks, in place.

        <T> is a sum of its own, not the mean of T: a difference of means would not stay positive.
        """
        look.memory.count = known.count
        if self.successive is None or gaps[0] is None:
            return
        lengths = joined([found for found in gaps if found is not None])
        new = look.group.layout.mean(lengths.square_()) * known.weight
        look.memory.table["squares mean"].mul_(self.successive.decay).add_(new)
        look.memory.table["fast"].mul_(self.successive.fast).add_(new)

    def _over_steps(
        self, memory: GroupMemory, choice: Successive, seen: Seen
    ) -> tuple[Tensor, Tensor, float | Tensor, Tensor]:
        """Variance of a sample, what is added to T, degrees of freedom with today's difference, and level."""
        mean, fast = memory.table["squares mean"], memory.table["fast"]
        before = (seen - 1).clamp_min(1) if isinstance(seen, Tensor) else max(seen - 1, 1)
        variance = mean / discounted_count(choice.decay, before)
        recent = fast / discounted_count(choice.fast, before)
        level = (recent + ABSOLUTE_FLOOR) / (variance + ABSOLUTE_FLOOR)
        least = (choice.moderation * variance).mul_(level).clamp_min_(ABSOLUTE_FLOOR)
        return variance, least, discounted_count(choice.decay, seen) + choice.moderation, level


class Rows(NamedTuple):
    """Some rows of a look, [S, r, width]: gradients, those of the steps before, and what else there is."""

    gradients: Tensor
    past: list[Tensor]
    dims: dict[str, Tensor]


def rows_of(look: Look, rows: slice) -> Rows:
    """View some rows of a look."""
    like = look.group.per_row
    every = look.memory.dims | look.group.measured
    return Rows(
        like[:, rows],
        [values.view_as(like)[:, rows] for values in look.memory.past],
        {name: values.view_as(like)[:, rows] for name, values in every.items()},
    )


def joined(rows: Sequence[Tensor], axis: int = 1) -> Tensor:
    """Put pieces together; one is itself."""
    return rows[0] if len(rows) == 1 else torch.cat(list(rows), axis)


def _counts(group: GradientGroup) -> float | Tensor:
    """N of every source and block."""
    counts = {group.counts[source] for own in group.layout.sources for source in own}
    if len(counts) == 1:
        return float(counts.pop())
    return group.layout.table(group.counts, group.gradients)


def _within_batch(group: GradientGroup) -> tuple[Tensor, Tensor, Tensor]:
    """Variance of a sample, least scatter and degrees of freedom from the scatter within the batch."""
    layout, freedom = group.layout, group.freedom or {}
    scatter = torch.as_tensor(group.scatter).view_as(group.per_row)
    degrees = layout.table(freedom, group.gradients)
    mean = layout.mean(scatter.sum(-1))
    return mean / degrees, (RELATIVE_FLOOR * mean).clamp_min(ABSOLUTE_FLOOR), degrees
