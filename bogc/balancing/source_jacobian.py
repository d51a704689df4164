"""Separate gradients of the sources, grouped where the same sources meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.balancing.observation import Observation
from bogc.gradients import Block, ModalityPartition, Part, Streaming
from bogc.gradients.source_gradients import ParameterGradients, reaches, source_gradients


@dataclass(frozen=True, eq=False)
class SourceJacobian:
    """Gradients of several mean losses with respect to the same parameters.

    Attributes:
        owner: The modality that owns the parameters, or ``"shared"``.
        sources: Names of the S losses, fusion first.
        blocks: The parameters, block by block.
        rows: One gradient a source, [S, D].
    """

    owner: str
    sources: tuple[str, ...]
    blocks: tuple[Block, ...]
    rows: Float[Tensor, "S D"]

    @property
    def parameter_sizes(self) -> list[int]:
        """Number of elements of each parameter tensor, in the order of the D columns."""
        return [parameter.numel() for block in self.blocks for parameter in block.parameters]

    def split(self, direction: Float[Tensor, " D"]) -> dict[nn.Parameter, Tensor]:
        """Give each parameter its part of ``direction``, in its own shape."""
        parts = direction.split([block.size for block in self.blocks])
        return dict(
            pair for block, part in zip(self.blocks, parts, strict=True) for pair in block.split(part)
        )


def source_jacobians(losses: Mapping[str, Tensor], partition: ModalityPartition) -> list[SourceJacobian]:
    """Differentiate each mean loss once; one Jacobian for each owner and set of sources that reach it.

    An encoder is reached by the fusion and its own loss, a head by one loss only, so no row of a Jacobian is
    empty, and methods that compare rows compare gradients of the same parameters.
    """
    present = {source: losses[source] for source in partition.sources if source in losses}
    found = source_gradients(present, partition.blocks)
    groups: dict[tuple[str, tuple[str, ...]], list[Block]] = {}
    for block in partition.blocks:
        sources = tuple(source for source, gradients in found.items() if reaches(block, gradients))
        if sources:
            groups.setdefault((block.modality, sources), []).append(block)
    return [
        SourceJacobian(owner, sources, tuple(blocks), _rows(found, sources, blocks))
        for (owner, sources), blocks in groups.items()
    ]


def jacobians_seen(seen: Observation, partition: ModalityPartition) -> list[SourceJacobian]:
    """Return the Jacobians of the whole batch, wherever its parts are."""
    if seen.share.whole:
        return source_jacobians(seen.losses, partition)
    return jacobians_of(seen.parts(Streaming(), partition), partition)


def jacobians_of(parts: Mapping[str, Part], partition: ModalityPartition) -> list[SourceJacobian]:
    """Arrange mean gradients that were measured before, by source, as ``source_jacobians`` does."""
    rows = {s: {n: row[0] for n, row in parts[s].rows.items()} for s in partition.sources if s in parts}
    groups: dict[tuple[str, tuple[str, ...]], list[Block]] = {}
    for block in partition.blocks:
        sources = tuple(source for source, found in rows.items() if block.name in found)
        if sources:
            groups.setdefault((block.modality, sources), []).append(block)
    return [
        SourceJacobian(
            owner,
            sources,
            tuple(blocks),
            torch.stack([torch.cat([rows[source][block.name] for block in blocks]) for source in sources]),
        )
        for (owner, sources), blocks in groups.items()
    ]


def combine(
    jacobians: Sequence[SourceJacobian], aggregate: Callable[[SourceJacobian], Tensor]
) -> dict[nn.Parameter, Tensor]:
    """Apply ``aggregate`` wherever several sources meet; a single source's gradient is kept."""
    gradients: dict[nn.Parameter, Tensor] = {}
    for jacobian in jacobians:
        direction = aggregate(jacobian) if len(jacobian.sources) > 1 else jacobian.rows[0]
        gradients |= jacobian.split(direction)
    return gradients


def _rows(
    found: Mapping[str, ParameterGradients], sources: Sequence[str], blocks: Sequence[Block]
) -> Float[Tensor, "S D"]:
    """Move the gradients of ``blocks`` into one matrix; each is copied once and forgotten."""
    first = blocks[0].parameters[0]
    rows = first.new_empty(len(sources), sum(block.size for block in blocks))
    for source, row in zip(sources, rows, strict=True):
        parts = row.split([block.size for block in blocks])
        for block, part in zip(blocks, parts, strict=True):
            for parameter, place in block.split(part):
                gradient = found[source].pop(id(parameter), None)
                place.zero_() if gradient is None else place.copy_(gradient)
    return rows
