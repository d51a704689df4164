"""What a step reports, apart from the state that the next step needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bogc.belief.measures import conflict
from bogc.calibration import CalibratedBlock

Summary = dict[str, float | dict[str, float]]


@dataclass(frozen=True)
class StepInfo:
    """Logged quantities of one ``backward``.

    Everything stays on its device as the step left it; only the methods here read it, so a step that is not
    logged never waits. What is in ``blocks`` can be read until the next ``backward``.

    Attributes:
        losses: Mean loss a source, detached scalars.
        blocks: The calibrated blocks by name; empty for methods without opinions, and at the first step.
        factors: What the method multiplied each source's or modality's gradient by, detached scalars; empty
            if it is not one number.
        last_layers: Names of the parameters that were drawn for each source; empty where none are.
    """

    losses: Mapping[str, Tensor]
    blocks: Mapping[str, CalibratedBlock] = field(default_factory=dict)
    factors: Mapping[str, Tensor] = field(default_factory=dict)
    last_layers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, means: Mapping[str, Tensor], factors: Mapping[str, Tensor] | None = None) -> "StepInfo":
        """Report mean losses, and factors if there are any, without their graphs."""
        losses = {source: mean.detach() for source, mean in means.items()}
        return cls(losses, factors={name: factor.detach() for name, factor in (factors or {}).items()})

    def summary(self) -> dict[str, Summary]:
        """Per block: mean uncertainty, belief and weight of each source, and of the fused opinion.

        ``conflict`` is Dempster's C, ``conservatism`` is kappa / M, both averaged over dimensions.

        Raises:
            StateError: Another step has been taken since.
        """
        return {name: _summarise(block) for name, block in self.blocks.items()}

    def histograms(self, bins: int = 20) -> dict[str, dict[str, list[int]]]:
        """Per source: counts of u and of b = 1 - u over all dimensions, in ``bins`` equal bins of [0, 1].

        Raises:
            StateError: Another step has been taken since.
        """
        values: dict[str, list[Tensor]] = {}
        for block in self.blocks.values():
            for source, opinion in [*block.opinions.items(), ("fused", block.fused)]:
                values.setdefault(source, []).append(opinion.uncertainty.reshape(-1))
        return {source: _histogram(torch.cat(parts).float(), bins) for source, parts in values.items()}


def _summarise(block: CalibratedBlock) -> Summary:
    opinions = block.opinions
    weights = block.update.weights.mean(1)
    return {
        "uncertainty": {source: float(opinion.uncertainty.mean()) for source, opinion in opinions.items()},
        "belief": {source: float(opinion.belief.sum(-1).mean()) for source, opinion in opinions.items()},
        "weight": {source: float(weight) for source, weight in zip(opinions, weights, strict=True)},
        "fused_uncertainty": float(block.fused.uncertainty.mean()),
        "conflict": float(conflict(list(opinions.values())).mean()),
        "conservatism": float(block.update.conservatism.mean()) / len(opinions),
    }


def _histogram(uncertainty: Tensor, bins: int) -> dict[str, list[int]]:
    counts = torch.histc(uncertainty.cpu(), bins=bins, min=0.0, max=1.0).to(torch.int64).tolist()
    return {"uncertainty": counts, "belief": counts[::-1]}
