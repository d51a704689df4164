"""Every estimator, prior and route beside a training run, at some dimensions of each layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bogc.gradients import Block, GradientMoments, Streaming
from bogc.posterior import GradientPosterior, GradientPrior, PriorPolicy
from paper_repro.gradient_uncertainty.table import ESTIMATORS, PRIORS, ROUTES

Pair = tuple[str, str]
"""A layer and a loss that reaches it."""

Choice = tuple[str, str, str]
"""Names of an estimator, a prior and a route."""

State = Mapping[str, Tensor]
Stream = Mapping[str, dict[str, Any]]
FIELDS: Final = ("mean", "scatter", "count", "degrees_of_freedom")


def watched_dimensions(blocks: Sequence[Block], number: int) -> dict[str, Int64[Tensor, " D"]]:
    """Draw ``number`` dimensions of each layer, the same for the same layers; small ones repeat theirs."""
    generator = torch.Generator().manual_seed(0)
    drawn = {block.name: torch.randperm(block.size, generator=generator) for block in blocks}
    return {name: order.repeat(-(-number // len(order)))[:number] for name, order in drawn.items()}


def stack(moments: Sequence[GradientMoments]) -> GradientMoments:
    """Moments with one axis more, the first."""
    parts = {name: torch.stack([getattr(m, name) for m in moments]) for name in FIELDS}
    return GradientMoments.unchecked(**parts)


@dataclass
class Watch:
    """What the estimators and priors remember.

    Attributes:
        blocks: The layers.
        positions: Dimensions watched of each, [D].
        pairs: The P pairs, in the order of all tensors.
        streams: By estimator and source, what the estimator remembers, of all dimensions.
        priors: By choice, what the prior policy remembers, [P, D] or [P, 1].
    """

    blocks: Sequence[Block]
    positions: Mapping[str, Tensor]
    pairs: tuple[Pair, ...] = ()
    streams: dict[str, dict[str, Stream]] = field(default_factory=dict)
    priors: dict[Choice, State] = field(default_factory=dict)

    def gradients(self, losses: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        """Gradient of each mean loss in each layer that it reaches."""
        estimates = Streaming().estimate(losses, self.blocks, {})
        found = {
            (block, source): mean[self.positions[block]]
            for source, estimate in estimates.items()
            for block, mean in estimate.means.items()
        }
        self.pairs = tuple(found)
        return torch.stack(list(found.values()))

    def read(self, losses: Mapping[str, Tensor], name: str) -> GradientMoments:
        """Moments [P, D] by estimator ``name`` of one batch; nothing is remembered."""
        found = self._estimate(losses, name)[0]
        return stack([found[pair] for pair in self.pairs])

    def follow(self, losses: Mapping[str, Tensor], near: bool) -> None:
        """Remember one training batch; estimators without memory are only asked when ``near`` a stop."""
        for name, estimator in ESTIMATORS.items():
            if near or isinstance(estimator, Streaming):
                found, self.streams[name] = self._estimate(losses, name)
                if near and found:
                    self.pairs = tuple(found)
                    self._update_priors(name, stack(list(found.values())))

    def forget_priors(self) -> None:
        """Start every prior anew."""
        self.priors = {}

    def _estimate(
        self, losses: Mapping[str, Tensor], name: str
    ) -> tuple[dict[Pair, GradientMoments], dict[str, Stream]]:
        streams = self.streams.get(name, {})
        estimates = ESTIMATORS[name].estimate(losses, self.blocks, streams)
        found = {
            (block, source): _at(moments, self.positions[block])
            for source, estimate in estimates.items()
            for block, moments in estimate.moments.items()
        }
        streams = {**streams, **{source: estimate.state for source, estimate in estimates.items()}}
        return found, streams

    def _update_priors(self, name: str, moments: GradientMoments) -> None:
        observed = moments.floored()
        for prior, policy in PRIORS.items():
            for route in ROUTES:
                choice = (name, prior, route)
                proposed, following = policy.propose(observed, self.priors.get(choice, {}))
                self.priors[choice] = policy.absorb(following, ROUTES[route](observed, proposed))


def infer(
    policy: PriorPolicy, route: str, moments: GradientMoments, state: State
) -> tuple[GradientPrior, GradientPosterior]:
    """Prior and posterior of moments [..., D], as in :func:`bogc.calibration.calibrate_block`."""
    observed = moments.floored()
    prior, _ = policy.propose(observed, state)
    return prior, ROUTES[route](observed, prior)


def _at(moments: GradientMoments, positions: Tensor) -> GradientMoments:
    return GradientMoments.unchecked(
        mean=moments.mean[positions],
        scatter=moments.scatter[positions],
        count=moments.count,
        degrees_of_freedom=moments.degrees_of_freedom,
    )
