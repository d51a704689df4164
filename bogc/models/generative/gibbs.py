"""Gibbs sampling of an RBM: all modalities, or the missing ones with the others held."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.models.generative.rbm import MultimodalRBM


def bernoulli(probability: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw 0 or 1 for each element, in its dtype.

    The uniform numbers are float32 for every dtype: models of two precisions that share a seed then take
    the same decisions, except where a probability differs by rounding. A probability is met up to 2^-24.
    """
    shape, device = probability.shape, probability.device
    uniform = torch.rand(shape, generator=generator, dtype=torch.float32, device=device)
    return (uniform < probability).to(probability.dtype)


@torch.no_grad()
def gibbs_step(
    rbm: MultimodalRBM,
    held: Float[Tensor, "#N H"],
    state: Mapping[str, Float[Tensor, "N _"]],
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """One step: draw h given everything, then the modalities of ``state`` given h (6.37).

    Args:
        rbm: The model.
        held: Input of the hidden units from bias and held modalities: ``hidden_logits`` of those, or the
            bias alone, [1, H], for a chain over all modalities.
        state: The modalities to be drawn anew, as they stand, [N, width].
        generator: On the model's device.
    """
    hidden = bernoulli(torch.sigmoid(held + rbm.project(state)), generator)
    return draw_visible(rbm, hidden, tuple(state), generator)


@torch.no_grad()
def draw_visible(
    rbm: MultimodalRBM,
    hidden: Float[Tensor, "N H"],
    names: tuple[str, ...],
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """Draw the named modalities given the hidden units."""
    return {name: bernoulli(torch.sigmoid(rbm.visible_logits(hidden, name)), generator) for name in names}
