"""What a method is shown of one batch, wherever its samples are: here, in earlier parts, elsewhere."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor, nn

from bogc.distributed import ProcessGroup, SingleProcess
from bogc.errors import LossError, ProcessError, UnsuitableError
from bogc.gradients import (
    FUSION,
    GradientGroup,
    Layout,
    ModalityPartition,
    MomentEstimator,
    Reevaluation,
    check_finite_step,
    gradient,
)
from bogc.gradients.estimators import Buffers, mean_gradients, wide
from bogc.gradients.sharded import sharded_gradients
from bogc.models import ModalOutputs

Gradients = Mapping[nn.Parameter, Tensor]
Pairs = dict[tuple[str, str], Tensor]
"""(source, block name) -> values [d]."""

PROCESSES: Final = "processes"
MICRO_BATCHES: Final = "micro-batches"
EVERYWHERE: Final = (PROCESSES, MICRO_BATCHES)
"""Over what a batch may be spread."""
SHARDS: Final = "sharded parameters"
"""What else a method may support: that each process sees some rows of each gradient."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """Micro-batches that were taken in before; nothing by default.

    Attributes:
        sums: Sums of this process' gradients by source and block, in units of the balancer.
        totals: Sums of this process' losses, by source.
        counts: Samples over all processes, by source.
    """

    sums: Pairs = field(default_factory=dict)
    totals: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BatchView:
    """Losses, and for the methods that look at more than losses, predictions and targets.

    A method that is exact when the batch is spread over processes or micro-batches (``Balancer.supports``)
    looks only at ``values``, ``groups`` and ``gradient``, which are of the whole batch and the same in every
    process. The rest is this process' own.

    Attributes:
        losses: One loss vector [N] a source; a modality missing from the batch is absent.
        partition: The parameters.
        counts: Samples of each source in the whole batch, those of other processes and micro-batches
        included. outputs: What the network returned, the tensors that the losses were computed from.
        targets: What the losses compare with, [N, ...].
        team: The processes that hold the other parts.
        earlier: Micro-batches before.
        scale: Loss scale of fp16 training, a scalar tensor; gradients are taken at that scale and divided
            by it.
        again: Evaluates the losses again, where ``backward`` was given a closure and the method needs it.
    """

    losses: Mapping[str, Tensor]
    partition: ModalityPartition
    counts: Mapping[str, int]
    outputs: ModalOutputs | None = None
    targets: Tensor | None = None
    team: ProcessGroup = field(default_factory=SingleProcess)
    earlier: Earlier = field(default_factory=Earlier)
    scale: Tensor | None = None
    again: Reevaluation | None = None

    @property
    def whole(self) -> bool:
        """Whether the losses here are the whole batch."""
        return self.team.size == 1 and not self.earlier.counts

    @property
    def fusion(self) -> Tensor:
        """Mean fusion loss of this process, with its graph."""
        return self.losses[FUSION].mean()

    def values(self) -> dict[str, Tensor]:
        """Mean loss a source over the whole batch, without graph; sources of other processes included."""
        if self.whole:
            return {source: loss.detach().mean() for source, loss in self.losses.items()}
        summed = self.team.sum(list(self.own_totals().values()))
        return {s: total / count for total, (s, count) in zip(summed, self.counts.items(), strict=True)}

    def own_totals(self) -> dict[str, Tensor]:
        """Sum of this process' losses by source, of earlier micro-batches too."""
        zero = next(iter(self.losses.values())).new_zeros(())
        own = {s: self.losses[s].detach().sum() if s in self.losses else zero for s in self.counts}
        before = self.earlier.totals
        return {s: before[s] + total if s in before else total for s, total in own.items()}

    def groups(
        self,
        estimator: MomentEstimator,
        only: Collection[str] | None = None,
        unit: float = 1.0,
        spare: Buffers | None = None,
    ) -> list[GradientGroup]:
        """Measure the gradient of every source, or of ``only`` some, over the whole batch.

        Args:
            estimator: Measures; one that looks at variance within the batch needs all of it here.
            only: Sources to measure.
            unit: Power of two that gradients are divided by.
            spare: Memory that may be written over.
        """
        losses = {s: loss for s, loss in self.losses.items() if only is None or s in only}
        if self.partition.sharded:
            return self._sharded_groups(losses, unit)
        if not self.whole:
            return self._spread_groups(losses, unit)
        if self.scale is None:
            return estimator.measure(losses, self.partition, unit, spare if spare is not None else {})
        scaled = {source: loss * self.scale.to(loss) for source, loss in losses.items()}
        found = estimator.measure(scaled, self.partition, unit, spare if spare is not None else {})
        return [_divided(group, self.scale) for group in found]

    def own_sums(self, unit: float, losses: Mapping[str, Tensor] | None = None) -> Pairs:
        """Sums of this process' gradients over its samples, of earlier micro-batches too."""
        given = self.losses if losses is None else losses
        ones = {source: torch.full_like(loss, 1 / unit) for source, loss in given.items()}
        sums = dict(self.earlier.sums)
        for group in mean_gradients(given, self.partition, ones, {}):
            for pair, value in group.layout.take(group.gradients).items():
                sums[pair] = sums[pair] + value if pair in sums else value
        return sums

    def gradient(self, weights: Mapping[str, Tensor | float]) -> Gradients:
        """Gradient of the sum of ``weights`` times mean losses over the whole batch.

        One backward pass; where there were micro-batches before, their gradients by source are taken.
        Parameters that no weighted loss reaches are left out.
        """
        if self.earlier.counts:
            return self._combined(weights)
        terms = [
            weights[source] * (loss.sum() / self.counts[source])
            for source, loss in self.losses.items()
            if source in weights
        ]
        if not terms:
            return {}
        total = torch.stack(terms).sum()
        if self.partition.sharded:
            return self._sharded_gradient(total)
        return self._summed(self.differentiate(total))

    def differentiate(self, total: Tensor, keep: bool = False) -> Gradients:
        """Gradient of a scalar of this process in one backward pass; what it does not reach is left out."""
        scale = total.new_ones(()) if self.scale is None else self.scale.to(total)
        found = gradient(total, self.partition.parameters, scale, keep)
        pairs = ((p, found.get(id(p))) for p in self.partition.parameters)
        own = {p: g for p, g in pairs if g is not None}
        return own if self.scale is None else {p: g / self.scale.to(g) for p, g in own.items()}

    def total(self, own: Mapping[str, Tensor]) -> tuple[list[str], Tensor]:
        """Sum a number a modality over processes, [M], for the modalities that any of them has."""
        names, some = self.partition.modalities, next(iter(own.values()))
        every = self.team.gather([int(name in own) for name in names], some)
        present = [name for name, *seen in zip(names, *every, strict=True) if any(seen)]
        summed = self.team.sum([own.get(name, torch.zeros_like(some)) for name in present])
        return present, torch.stack(summed)

    def predictions(self, method: str) -> tuple[ModalOutputs, Tensor]:
        """Return outputs and targets for ``method``, which needs them.

        Raises:
            LossError: ``backward`` was called without them, or no modality has features.
        """
        if self.outputs is None or self.targets is None:
            missing = "outputs" if self.outputs is None else "targets"
            raise LossError(
                missing, f"must be given to {method}", None, "Call backward(losses, outputs, targets)."
            )
        if not self.outputs.features:
            rule = f"must hold a modality's for {method}"
            raise LossError("outputs.features", rule, "none", "Pass those of every encoder that ran.")
        return self.outputs, self.targets

    def _spread_groups(self, losses: Mapping[str, Tensor], unit: float) -> list[GradientGroup]:
        """Groups of the whole batch from the sums of gradients of all its parts."""
        sums = self.own_sums(unit, losses)
        found = [
            GradientGroup(layout, layout.fill(sums, _like(layout)), self.counts)
            for layout in self._layouts(sums)
        ]
        summed = self.team.sum([group.gradients for group in found])
        return [
            replace(group, gradients=_means(group.layout, total, self.counts))
            for group, total in zip(found, summed, strict=True)
        ]

    def _sharded_groups(self, losses: Mapping[str, Tensor], unit: float) -> list[GradientGroup]:
        """This process' rows of the gradients of the whole batch, whose means over processes are taken."""
        factors = {s: self.team.size / (unit * self.counts[s]) for s in self.partition.sources if s in losses}
        totals = {source: self._at_scale(losses[source].sum() * f) for source, f in factors.items()}
        found = sharded_gradients(totals, self.partition.parameters)
        layouts = self.partition.layouts({source: reached.keys() for source, reached in found.items()})
        groups = [GradientGroup(each, each.pack(found, wide(each)), self.counts) for each in layouts]
        return groups if self.scale is None else [_divided(group, self.scale) for group in groups]

    def _sharded_gradient(self, total: Tensor) -> Gradients:
        """This process' rows of the gradient of the sum of ``total`` over processes."""
        found = sharded_gradients({"": self._at_scale(total * self.team.size)}, self.partition.parameters)[""]
        own = {p: found[id(p)] for p in self.partition.parameters if id(p) in found}
        return own if self.scale is None else {p: g / self.scale.to(g) for p, g in own.items()}

    def _at_scale(self, total: Tensor) -> Tensor:
        return total if self.scale is None else total * self.scale.to(total)

    def _layouts(self, sums: Pairs) -> list[Layout]:
        """Layouts of what is reached in any process."""
        blocks, sources = self.partition.blocks, list(self.counts)
        own = [int((source, block.name) in sums) for source in sources for block in blocks]
        every = self.team.gather(own, self.partition.parameters[0])
        flags = iter([any(seen) for seen in zip(*every, strict=True)])
        reached = {s: [id(p) for b in blocks if next(flags) for p in b.parameters] for s in sources}
        return self.partition.layouts(reached)

    def _combined(self, weights: Mapping[str, Tensor | float]) -> Gradients:
        """Weighted sum of the mean gradients of all micro-batches."""
        gradients: dict[nn.Parameter, Tensor] = {}
        for group in self._spread_groups(self.losses, 1.0):
            factors = group.gradients.new_zeros(len(group.gradients), len(group.layout.blocks))
            for column, own in enumerate(group.layout.sources):
                for row, source in enumerate(own):
                    factors[row, column] = weights.get(source, 0.0)
            total = (group.per_row * group.layout.spread(factors)).sum(0).view(-1)
            wanted = {
                b.name
                for b, own in zip(group.layout.blocks, group.layout.sources, strict=True)
                if any(source in weights for source in own)
            }
            kept = {p for block in group.layout.blocks if block.name in wanted for p in block.parameters}
            gradients |= {p: g.to(p.dtype) for p, g in group.layout.unpack(total).items() if p in kept}
        return gradients

    def _summed(self, own: Gradients) -> Gradients:
        """Add up over processes; a parameter that is reached in any of them counts."""
        if self.team.size == 1:
            return own
        parameters = self.partition.parameters
        every = self.team.gather([int(p in own) for p in parameters], parameters[0])
        reached = [p for p, *seen in zip(parameters, *every, strict=True) if any(seen)]
        summed = self.team.sum([own[p] if p in own else torch.zeros_like(p) for p in reached])
        return dict(zip(reached, summed, strict=True))


def check_finite_groups(values: Mapping[str, Tensor], groups: Sequence[GradientGroup]) -> None:
    """Raise NonFiniteError, naming the source, if a mean loss or gradient is NaN or infinite; one read."""
    parts: dict[str, list[Tensor]] = {f"losses[{source!r}]": [value] for source, value in values.items()}
    for group in groups:
        for (source, _), rows in group.layout.take(group.gradients).items():
            parts.setdefault(f"gradient of losses[{source!r}]", []).append(rows)
    check_finite_step(parts, groups[0].layout.holders if groups else None)


def agree(
    losses: Mapping[str, Tensor],
    partition: ModalityPartition,
    team: ProcessGroup,
    begun: Mapping[str, int],
    problem: Exception | None,
    mixed: bool = False,
) -> dict[str, int]:
    """Count the samples of each source over processes and micro-batches, or fail in all processes.

    Args:
        losses: This process' own; they may be wrong where there is a ``problem``.
        partition: Names the sources.
        team: The processes.
        begun: Samples of each source in micro-batches before, over all processes.
        problem: What is wrong with this process' own call, if anything is.
        mixed: Whether samples of several processes meet in the network.

    Raises:
        BogcError: ``problem``.
        ProcessError: Another process has one.
        UnsuitableError: Samples meet in the network, and a source has none in some process.
    """
    if problem is not None and team.size == 1:
        raise problem
    if team.size == 1:
        own_counts = {s: len(losses[s]) if s in losses else 0 for s in partition.sources}
        return {s: n + begun.get(s, 0) for s, n in own_counts.items() if n or s in begun}
    own = [0 if problem else len(losses.get(source, ())) for source in partition.sources]
    every = team.gather([int(problem is not None), int(mixed), *own], partition.parameters[0])
    if any(failed for failed, *_ in every):
        _fail(team.tell(None if problem is None else f"{type(problem).__name__}: {problem}"), problem)
    found = {}
    for index, source in enumerate(partition.sources):
        counts = [numbers[index + 2] for numbers in every]
        start = begun.get(source, 0)
        if any(counts) and not all(counts) and any(meets for _, meets, *_ in every):
            rule = "must be in every process where a layer, such as SyncBatchNorm, is over all of them"
            raise UnsuitableError(f"losses[{source!r}]", rule, counts, "Leave it out of the whole batch.")
        if sum(counts) or start:
            found[source] = start + sum(counts)
    return found


def _fail(reports: list[str | None], problem: Exception | None) -> None:
    if problem is not None:
        raise problem
    rank, report = next((rank, report) for rank, report in enumerate(reports) if report)
    rule, remedy = "must accept its part of the batch", "Nothing was changed; mend it there."
    raise ProcessError(f"process {rank}", rule, report, remedy)


def _divided(group: GradientGroup, scale: Tensor) -> GradientGroup:
    own = scale.to(group.gradients)
    scatter = None if group.scatter is None else group.scatter / own.square()
    return replace(group, gradients=group.gradients.div_(own), scatter=scatter)


def _like(layout: Layout) -> Tensor:
    """An empty tensor of the dtype and device of the arithmetic on a group."""
    first = layout.blocks[0].parameters[0]
    return first.new_empty(0, dtype=torch.promote_types(first.dtype, torch.float32))


def _means(layout: Layout, sums: Tensor, counts: Mapping[str, int]) -> Tensor:
    rows = sums.view(len(sums), -1, sums.shape[1] // sum(layout.rows))
    return (rows / layout.spread(layout.table(counts, sums))).view_as(sums)
