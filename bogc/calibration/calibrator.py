"""From the moments of all blocks to their scaled updates."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from bogc.calibration.pipeline import CalibratedBlock, PriorState
from bogc.gradients import GradientMoments

Means = Mapping[str, Mapping[str, Tensor]]
Moments = Mapping[str, Mapping[str, GradientMoments]]
States = Mapping[str, Mapping[str, PriorState]]
UPDATE: Final = "calibrated update"


@dataclass(frozen=True, eq=False)
class Calibration:
    """What calibrating all blocks gave.

    Attributes:
        updates: [D] by block; valid until the next call.
        blocks: The stations of the calibrated ones, for whoever wants to look.
        states: The prior policy's next states by block and source.
        finite: What must be finite, under the name that an error gives it: a sum over these tensors is finite
            only if every gradient and update is.
    """

    updates: Mapping[str, Tensor]
    blocks: Mapping[str, CalibratedBlock]
    states: States
    finite: Mapping[str, list[Tensor]]


class Calibrator(ABC):
    """Calibrates blocks and scales their updates; never waits for the device."""

    @abstractmethod
    def __call__(self, means: Means, moments: Moments, states: States) -> Calibration:
        """Calibrate.

        Args:
            means: [D] by block and source that reaches it. A block without moments gets their plain sum.
            moments: Likewise, where the variance of every source is known.
            states: What the last call returned; ``{}`` at first.
        """


def plain_sum(means: Mapping[str, Tensor]) -> Tensor:
    """Add up the means of all sources, in a new tensor."""
    first, *others = means.values()
    total = first + others[0] if others else first.clone()
    for mean in others[1:]:
        total.add_(mean)
    return total


def gradient_name(source: str) -> str:
    """What an error calls the gradient of a source."""
    return f"gradient of losses[{source!r}]"


def gradient_parts(means: Means) -> dict[str, list[Tensor]]:
    """Means of each source over all blocks, by what an error calls them."""
    parts: dict[str, list[Tensor]] = {}
    for sources in means.values():
        for source, mean in sources.items():
            parts.setdefault(gradient_name(source), []).append(mean)
    return parts
