"""What one call of ``backward`` holds of a batch, beside earlier micro-batches and other processes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from torch import Tensor

from bogc.errors import BogcError, ProcessError, UnsuitableError
from bogc.gradients import Alone, Block, ModalityPartition, MomentEstimator, Part, Place, Team, reduce_parts

PROCESSES: Final = "processes"
MICRO_BATCHES: Final = "micro-batches"
EVERYWHERE: Final = (PROCESSES, MICRO_BATCHES)
"""Over what a batch may be spread."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """Micro-batches that were taken in before, by source; nothing by default.

    Attributes:
        parts: What this process' samples said.
        totals: Sum of this process' losses.
        counts: Samples over all processes.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    totals: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Share:
    """Where the losses of one call stand in the whole batch.

    Attributes:
        places: By source, in the partition's order; also sources without samples in this process.
        team: The processes that hold the other parts.
        earlier: Micro-batches before.
    """

    places: Mapping[str, Place]
    team: Team = field(default_factory=Alone)
    earlier: Earlier = field(default_factory=Earlier)

    @property
    def whole(self) -> bool:
        """Whether the losses are the whole batch."""
        return self.team.size == 1 and not self.earlier.counts

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each source in the batch, over processes and micro-batches."""
        return {source: place.start + place.count for source, place in self.places.items()}

    def of(self, sources: Collection[str]) -> "Share":
        """Return the share of some sources only."""
        return replace(self, places={s: place for s, place in self.places.items() if s in sources})

    def own_parts(
        self, losses: Mapping[str, Tensor], estimator: MomentEstimator, blocks: tuple[Block, ...]
    ) -> dict[str, Part]:
        """Measure ``losses`` and merge with the micro-batches before: this process' parts, by source."""
        measured = estimator.measure(losses, blocks, self.places)
        parts: dict[str, Part] = {}
        for source, place in self.places.items():
            own = measured.get(source) or _nothing(estimator, place)
            before = self.earlier.parts.get(source)
            parts[source] = before.merge(own) if before else own
        return parts

    def own_totals(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sum of this process' losses by source, of earlier micro-batches too."""
        zero = next(iter(losses.values())).new_zeros(())
        own = {s: losses[s].detach().sum() if s in losses else zero for s in self.places}
        before = self.earlier.totals
        return {s: before[s] + total if s in before else total for s, total in own.items()}

    def parts(
        self, losses: Mapping[str, Tensor], estimator: MomentEstimator, blocks: tuple[Block, ...]
    ) -> dict[str, Part]:
        """What the whole batch says, by source."""
        return reduce_parts(self.own_parts(losses, estimator, blocks), blocks, self.team)

    def means(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean loss over the whole batch by source, without graph."""
        if self.whole:
            return {source: loss.detach().mean() for source, loss in losses.items()}
        own = self.own_totals(losses)
        summed = self.team.sum(list(own.values()))
        return {s: t / count for t, (s, count) in zip(summed, self.counts.items(), strict=True)}


def _nothing(estimator: MomentEstimator, place: Place) -> Part:
    """The part of a process that has no sample of the source."""
    return Part({}, estimator.sizes(place.first, 0), estimator.sizes(place.start, place.count))


def agree(
    losses: Mapping[str, Tensor],
    partition: ModalityPartition,
    team: Team,
    begun: Mapping[str, int],
    problem: BogcError | None,
    mixed: bool = False,
) -> dict[str, Place]:
    """Find where the losses of every process stand in the batch, or fail in all of them.

    Args:
        losses: This process' own; they may be wrong where there is a ``problem``.
        partition: Names the sources.
        team: The processes.
        begun: Samples of each source in micro-batches before, over all processes.
        problem: What is wrong with this process' own call, if anything is.
        mixed: Whether samples of several processes meet in the network.

    Returns:
        The place of each source that any process has, in the partition's order.

    Raises:
        BogcError: ``problem``.
        ProcessError: Another process has one.
        UnsuitableError: Samples meet in the network, and a source has none in some process.
    """
    if problem is not None and team.size == 1:
        raise problem
    own = [0 if problem else len(losses.get(source, ())) for source in partition.sources]
    every = team.gather([int(problem is not None), int(mixed), *own], partition.parameters[0])
    if any(failed for failed, *_ in every):
        _fail(team.tell(None if problem is None else f"{type(problem).__name__}: {problem}"), problem)
    places = {}
    for index, source in enumerate(partition.sources):
        counts = [numbers[index + 2] for numbers in every]
        start = begun.get(source, 0)
        if any(counts) and not all(counts) and any(meets for _, meets, *_ in every):
            rule = "must be in every process where a layer, such as SyncBatchNorm, is over all of them"
            raise UnsuitableError(f"losses[{source!r}]", rule, counts, "Leave it out of the whole batch.")
        if sum(counts) or start:
            places[source] = Place(start + sum(counts[: team.rank]), start, sum(counts))
    return places


def check_unsharded(parameters: Iterable[Tensor]) -> None:
    """Raise UnsuitableError if a parameter is a DTensor, as ``fully_shard`` makes them.

    The graph of an FSDP2 network leads to gathered copies that live for one pass, not to its parameters, so
    there is nothing to take the gradients of the sources of.
    """
    sharded = [list(p.shape) for p in parameters if hasattr(p, "placements")]
    if sharded:
        found = f"{len(sharded)} DTensors, the first of shape {sharded[0]}"
        remedy = "Replicate the network in every process, with or without DistributedDataParallel."
        raise UnsuitableError("parameters", "must be whole in every process", found, remedy)


def _fail(reports: list[str | None], problem: BogcError | None) -> None:
    if problem is not None:
        raise problem
    rank, report = next((rank, report) for rank, report in enumerate(reports) if report)
    rule, remedy = "must accept its part of the batch", "Nothing was changed; mend it there."
    raise ProcessError(f"process {rank}", rule, report, remedy)
