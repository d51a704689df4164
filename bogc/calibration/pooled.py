"""The block priors of many blocks and sources at once, from sums over their dimensions."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.calibration.calibrator import States
from bogc.gradients import GradientMoments
from bogc.posterior import PriorPolicy

RELATIVE_FLOOR: Final = 1e-6  # those of GradientMoments.floored
ABSOLUTE_FLOOR: Final = 1e-30

Tables = Mapping[str, Float[Tensor, "S B 1"]]


def least_scatter(
    scatters: Float[Tensor, "S B"], sizes: Float[Tensor, " B"], degrees_of_freedom: Float[Tensor, "S B"]
) -> Float[Tensor, "S B"]:
    """Floor of the scatter that GradientMoments.floored uses, from its sums over the blocks."""
    return torch.maximum(RELATIVE_FLOOR * (scatters / sizes), ABSOLUTE_FLOOR * degrees_of_freedom)


def propose(
    policy: PriorPolicy, square: Float[Tensor, "S B"], noise: Float[Tensor, "S B"], states: Tables
) -> tuple[Float[Tensor, "S B"], dict[str, Tensor]]:
    """Return tau^2 of a policy that pools over the block, and its next states.

    Such a policy sees mean g^2 and mean noise alone, so it is shown a block of one dimension that has them.
    """
    ones = torch.ones_like(square).unsqueeze(-1)
    pooled = GradientMoments.unchecked(
        mean=square.sqrt().unsqueeze(-1), scatter=noise.unsqueeze(-1), count=ones, degrees_of_freedom=ones
    )
    prior, following = policy.propose(pooled, states)
    return prior.variance.expand_as(ones).squeeze(-1), {k: v.expand_as(ones) for k, v in following.items()}


def gather(
    states: States, blocks: Sequence[str], sources: Sequence[Sequence[str]], like: Tensor
) -> dict[str, Tensor]:
    """Tables [S, B, 1] of the states of the S sources of each block; zeros where one has none yet."""
    pairs = [
        (block, source)
        for column in zip(*sources, strict=True)
        for block, source in zip(blocks, column, strict=True)
    ]
    found = [states.get(block, {}).get(source, {}) for block, source in pairs]
    names = {name for state in found for name in state}
    zero = like.new_zeros(1)
    return {
        name: torch.cat([state.get(name, zero).to(like.dtype) for state in found]).view(-1, len(blocks), 1)
        for name in sorted(names)
    }


def scatter(
    tables: Mapping[str, Tensor], states: States, blocks: Sequence[str], sources: Sequence[Sequence[str]]
) -> States:
    """Inverse of ``gather``: the states of these blocks, in which those of other sources are kept."""
    views = {name: [row.unbind(0) for row in table.unbind(0)] for name, table in tables.items()}
    return {
        block: {
            **states.get(block, {}),
            **{s: {name: view[m][b] for name, view in views.items()} for m, s in enumerate(own)},
        }
        for b, (block, own) in enumerate(zip(blocks, sources, strict=True))
    }
