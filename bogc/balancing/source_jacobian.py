"""Separate gradients of the sources, grouped where the same sources meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.gradients import Block, ModalityPartition, Part, Place, Streaming


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
    """Differentiate each mean loss once, where ``losses`` are the whole batch; see ``jacobians_of``."""
    places = {source: Place.of(len(loss)) for source, loss in losses.items()}
    return jacobians_of(Streaming().measure(losses, partition.blocks, places), partition)


def jacobians_of(parts: Mapping[str, Part], partition: ModalityPartition) -> list[SourceJacobian]:
    """Arrange mean gradients: one Jacobian for each owner and set of sources that reach it.

    An encoder is reached by the fusion and its own loss, a head by one loss only, so no row of a Jacobian is
    empty, and methods that compare rows compare gradients of the same parameters.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for source in [s for s in partition.sources if s in parts]:
        for name, row in parts[source].rows.items():
            found.setdefault(name, {})[source] = row[0]
    groups: dict[tuple[str, tuple[str, ...]], list[Block]] = {}
    for block in partition.blocks:
        if block.name in found:
            groups.setdefault((block.modality, tuple(found[block.name])), []).append(block)
    return [
        SourceJacobian(owner, sources, tuple(blocks), _rows(found, sources, blocks))
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
    found: Mapping[str, Mapping[str, Tensor]], sources: Sequence[str], blocks: Sequence[Block]
) -> Tensor:
    return torch.stack([torch.cat([found[block.name][source] for block in blocks]) for source in sources])
