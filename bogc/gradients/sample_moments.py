"""Moments of all N per-sample gradients, by one backward pass a sample."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from bogc.gradients.blocks import Block
from bogc.gradients.moment_estimator import block_gradients
from bogc.gradients.moments import GradientMoments
from bogc.gradients.vjp import sample_cotangents


def sample_moments(
    losses: Float[Tensor, " N"], blocks: Sequence[Block], chunk: int, vectorize: bool
) -> dict[str, GradientMoments]:
    """Return exact moments [D] of the blocks that ``losses`` reach, ``chunk`` samples at a time.

    Chunks are merged by Chan's formula; [chunk, D] floats are held at a time.
    """
    moments: dict[str, GradientMoments] = {}
    for cotangents in sample_cotangents(losses).split(chunk):
        for name, rows in block_gradients(losses, blocks, cotangents, vectorize).items():
            part = GradientMoments.from_samples(rows)
            moments[name] = moments[name].merge(part) if name in moments else part
    return moments
