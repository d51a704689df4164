"""The moments of many blocks, laid out to be computed together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.calibration.layout import Layout

Pieces = Sequence[Tensor]  # one [rows, width] a source


@dataclass(frozen=True, eq=False)
class Batch:
    """Moments of the blocks that the same sources reach, on one device and of one dtype.

    Attributes:
        layout: Which piece and row belongs to which block.
        gradients: Means over the batch: for each piece, one [rows, width] a source.
        scatters: As in GradientMoments, likewise.
        dtype: Of the computation: at least float32.
    """

    layout: Layout
    gradients: Sequence[Pieces]
    scatters: Sequence[Pieces]
    dtype: torch.dtype

    @classmethod
    def of(
        cls, layout: Layout, gradients: Sequence[Sequence[Tensor]], scatters: Sequence[Sequence[Tensor]]
    ) -> "Batch":
        """Cut what is given as one [D] a block, for each source."""
        cut = [[layout.pieces(blocks) for blocks in source] for source in (gradients, scatters)]
        means, totals = (list(zip(*sources, strict=True)) for sources in cut)
        return cls(layout, means, totals, torch.promote_types(gradients[0][0].dtype, torch.float32))


@dataclass(frozen=True, eq=False)
class Constants:
    """What is one number for each source and block, [S, B]; see ClosedForm.write."""

    floors: Float[Tensor, "S B"]
    per_scatter: Float[Tensor, "S B"]
    scales: Float[Tensor, "S B"]
