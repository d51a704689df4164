"""How the moments of one source's gradient are estimated: over steps, by groups of a batch, per sample.

Cost for one source, in backward passes of its loss: ``Successive``, the default, 1; ``Grouped(C)`` C;
``PerSample`` N. The last two are exact references within the batch and need all of it in one place. All treat
samples as independent, which they are not where a layer looks at the whole batch, as BatchNorm does: there
variances within a batch are approximate, and only ``Successive`` sees the noise as it is. ``drawn.py`` holds
another kind: the variance that uncertain parameters give to the gradient of one batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from bogc.checks import check_number, check_real, check_whole
from bogc.errors import TooFewSamplesError
from bogc.gradients.closure import Reevaluation
from bogc.gradients.differentiate import (
    Reached,
    gradient,
    gradient_rows,
    group_cotangents,
    mean_cotangent,
    sample_cotangents,
)
from bogc.gradients.groups import GradientGroup, Layout
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import ModalityPartition
from bogc.registry import Registry

ESTIMATORS: Final[Registry[type["MomentEstimator"]]] = Registry("estimator")

Losses = Mapping[str, Tensor]
"""Source -> losses [N], one a sample; N may differ between sources."""

Buffers = dict[tuple[object, ...], Tensor]
"""Memory [S, D] that may be written over, by the key of its layout."""


class MomentEstimator(ABC):
    """Measures the gradients of all sources of a batch, and says what their noise is."""

    within_batch: ClassVar[bool] = True
    """Whether the variance is that of the samples of a batch, which then must not be spread."""
    needs_closure: ClassVar[bool] = False
    """Whether it evaluates the losses again, so that ``backward`` must be given a closure."""

    @abstractmethod
    def measure(
        self, losses: Losses, partition: ModalityPartition, unit: float, spare: Buffers
    ) -> list[GradientGroup]:
        """Differentiate the mean loss of each source, and measure what the batch tells of its variance.

        Args:
            losses: By source, of one forward pass.
            partition: The parameters.
            unit: A power of two that gradients are divided by.
            spare: Memory to write to where it fits; what is taken is removed.
        """

    def bound(self, again: Reevaluation | None, step: int) -> "MomentEstimator":
        """Return what measures one batch, whose losses ``again`` can evaluate; by default itself."""
        return self

    def shown(self, losses: Losses, partition: ModalityPartition) -> Mapping[str, Sequence[str]]:
        """Names of the parameters that are drawn for each source; by default none are."""
        return {}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "MomentEstimator":
        """Make it from a configuration's settings by name; by default it has none of its own."""
        return cls()


@ESTIMATORS.register("successive")
@dataclass(frozen=True)
class Successive(MomentEstimator):
    """Noise of a batch's gradient from differences of successive batches (von Neumann 1941). The default.

    Sum of squares T_t = decay T_{t-1} + h (g_t - g_{t-1})^2 with 1/h = 1/N_t + 1/N_{t-1}, n_t = decay
    n_{t-1} + 1; the variance of one sample is moderated towards its mean over the layer (Smyth 2004),
    (T + d0 <T>/n) / (n + d0), and that of the batch is 1/N of it (theory 1.27). The level of a layer follows
    faster than its pattern: all is multiplied by the ratio of <(g_t - g_{t-1})^2> averaged over a few steps
    to that over many (1.29). The true gradient moves little between two steps; what it does move counts as
    noise. It needs no variance within the batch and no hook: one sample is enough, and any layer will do.

    At the first steps of a source nothing is known and it counts in the plain sum. A source that is absent
    for
    some steps goes on from the last gradient that it had. The state is two numbers a source and dimension.

    Attributes:
        decay: Weight of the past, a step.
        moderation: d0, how many observations the layer's mean counts as.
        fast: Weight of the past in the level; ``decay`` itself leaves the level as it is.
    """

    decay: float = 0.95
    moderation: float = 10.0
    fast: float = 0.8
    within_batch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_real(decay=self.decay, moderation=self.moderation, fast=self.fast)
        check_number("decay", self.decay, 0 < self.decay < 1, "must lie in (0, 1)", "Use 0.95.")
        valid = 0 < self.moderation < float("inf")
        check_number("moderation", self.moderation, valid, "must be positive and finite", "Use 10.")
        check_number("fast", self.fast, 0 < self.fast < 1, "must lie in (0, 1)", "Use 0.8.")

    def measure(
        self, losses: Losses, partition: ModalityPartition, unit: float, spare: Buffers
    ) -> list[GradientGroup]:
        """See the base class."""
        cotangents = {source: mean_cotangent(loss, unit=unit) for source, loss in losses.items()}
        return mean_gradients(losses, partition, cotangents, spare)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "MomentEstimator":
        """Take ``decay``."""
        return cls(settings["decay"])


@ESTIMATORS.register("grouped")
@dataclass(frozen=True)
class Grouped(MomentEstimator):
    """Moments from the means of ``groups`` interleaved groups, with groups - 1 degrees of freedom."""

    groups: int = 4
    vectorize: bool = False

    def __post_init__(self) -> None:
        check_whole(groups=self.groups)
        check_number("groups", self.groups, self.groups >= 2, "must be at least 2", "Use 2, 4 or 8.")

    def measure(
        self, losses: Losses, partition: ModalityPartition, unit: float, spare: Buffers
    ) -> list[GradientGroup]:
        """See the base class.

        Raises:
            TooFewSamplesError: Fewer samples than groups.
        """
        check_enough(f"Grouped({self.groups})", losses, self.groups)
        rows = {}
        for source, loss in losses.items():
            cotangents = group_cotangents(loss, self.groups) / unit
            rows[source] = [gradient_rows(loss, partition.parameters, cotangents, self.vectorize)]
        sizes = {
            s: [torch.arange(len(loss))[k :: self.groups].numel() for k in range(self.groups)]
            for s, loss in losses.items()
        }
        return _within_batch(losses, partition, rows, {s: [found] for s, found in sizes.items()})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "MomentEstimator":
        """Take ``groups``."""
        return cls(settings["groups"])


@ESTIMATORS.register("per-sample")
@dataclass(frozen=True)
class PerSample(MomentEstimator):
    """Exact moments of all N per-sample gradients, ``chunk`` samples at a time, merged by Chan's formula."""

    chunk: int = 16
    vectorize: bool = False

    def __post_init__(self) -> None:
        check_whole(chunk=self.chunk)
        check_number("chunk", self.chunk, self.chunk >= 1, "must be at least 1", "Use 16.")

    def measure(
        self, losses: Losses, partition: ModalityPartition, unit: float, spare: Buffers
    ) -> list[GradientGroup]:
        """See the base class; [chunk, D] floats at a time.

        Raises:
            TooFewSamplesError: N = 1: one sample says nothing about a variance.
        """
        check_enough("PerSample", losses, 2)
        rows = {s: self._chunks(loss, partition.parameters, unit) for s, loss in losses.items()}
        sizes = {s: [[1] * len(part) for part in loss.split(self.chunk)] for s, loss in losses.items()}
        return _within_batch(losses, partition, rows, sizes)

    def _chunks(self, loss: Tensor, parameters: Sequence[Tensor], unit: float) -> Iterator[list[Reached]]:
        """Gradients of the samples of one source, some at a time, as they are asked for."""
        for part in sample_cotangents(loss).split(self.chunk):
            yield gradient_rows(loss, parameters, part / unit, self.vectorize)


def mean_gradients(
    losses: Losses, partition: ModalityPartition, cotangents: Mapping[str, Tensor], spare: Buffers
) -> list[GradientGroup]:
    """Differentiate each source's losses once and lay the gradients out in groups."""
    present = [source for source in partition.sources if source in losses]
    found = {s: gradient(losses[s], partition.parameters, cotangents[s]) for s in present}
    counts = {source: len(loss) for source, loss in losses.items()}
    groups = []
    for layout in partition.layouts({source: reached.keys() for source, reached in found.items()}):
        out = spare.pop(layout.key, None)
        groups.append(GradientGroup(layout, layout.pack(found, wide(layout), out), counts))
    return groups


def wide(layout: Layout) -> torch.dtype:
    """dtype of the arithmetic on a group: float32 at least."""
    return torch.promote_types(layout.blocks[0].parameters[0].dtype, torch.float32)


def check_enough(parameter: str, losses: Losses, needed: int) -> None:
    """Raise TooFewSamplesError if a source has fewer than ``needed`` samples."""
    for source, loss in losses.items():
        if len(loss) < needed:
            raise TooFewSamplesError(
                f"{parameter} on losses[{source!r}]",
                f"needs at least {needed} samples in a batch",
                len(loss),
                "Drop the last short batch, use fewer groups, or Successive moments, which need one sample.",
            )


def _column(numbers: Sequence[int], like: Tensor) -> Tensor:
    """One tensor of numbers, of which many are equal: filled in on the device, not copied there."""
    found, place = like.new_empty(len(numbers)), 0
    for number, equal in groupby(numbers):
        end = place + len(list(equal))
        found[place:end] = number
        place = end
    return found


def _within_batch(
    losses: Losses,
    partition: ModalityPartition,
    rows: Mapping[str, Any],
    sizes: Mapping[str, Sequence[Sequence[int]]],
) -> list[GradientGroup]:
    """Merge the moments of rows, each the mean over some samples, chunk after chunk of every source."""
    flat: dict[str, dict[int, GradientMoments]] = {}
    for source in (s for s in partition.sources if s in losses):
        flat[source] = {}
        for chunk, counts in zip(rows[source], sizes[source], strict=True):
            for key in chunk[0]:
                values = torch.stack([row[key].reshape(-1) for row in chunk])
                values = values.to(torch.promote_types(values.dtype, torch.float32))
                part = GradientMoments.from_groups(values, _column(counts, values))
                before = flat[source].get(key)
                flat[source][key] = before.merge(part) if before else part
    samples = {source: len(loss) for source, loss in losses.items()}
    freedom = {source: sum(map(len, sizes[source])) - 1 for source in flat}
    means: dict[str, Reached] = {s: {k: m.mean for k, m in found.items()} for s, found in flat.items()}
    scatters: dict[str, Reached] = {s: {k: m.scatter for k, m in found.items()} for s, found in flat.items()}
    return [
        GradientGroup(
            layout, layout.pack(means, wide(layout)), samples, layout.pack(scatters, wide(layout)), freedom
        )
        for layout in partition.layouts({source: found.keys() for source, found in flat.items()})
    ]
