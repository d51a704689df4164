"""A prior whose scale follows the noise: the same signal-to-noise ratio in every dimension of a layer.

The block prior gives every dimension of a layer one scale. If a layer's gradients are larger where they are
noisier, it shrinks the large ones too much, and the direction turns away from the truth. Here
tau_d^2 = r noise_d with one ratio r a layer, so shrinkage and u are the same in the
whole layer, and only compare losses and layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior, PriorPolicy

MEDIAN: Final = 0.4549364  # of a squared standard Normal


@dataclass(frozen=True)
class RatioPrior(PriorPolicy):
    """Signal-to-noise ratio by moments over a layer, over ``decay``-weighted steps, at least ``floor``.

    The median over the layer of g^2 / noise is used, divided by that of a squared Normal: one dimension with
    a variance that was underestimated would decide a mean.
    """

    decay: float = 0.9
    floor: float = 1e-3

    def propose(
        self, moments: GradientMoments, state: Mapping[str, Tensor]
    ) -> tuple[GradientPrior, Mapping[str, Tensor]]:
        """See the base class."""
        ratio = (moments.mean.square() / moments.noise).median(-1, keepdim=True).values / MEDIAN
        new = {"ratio": ratio, "weight": moments.mean.new_ones(1)}
        state = {name: self.decay * state[name] + value for name, value in new.items()} if state else new
        signal = (state["ratio"] / state["weight"] - 1).clamp_min(self.floor)
        return GradientPrior.centred(signal * moments.noise), state
