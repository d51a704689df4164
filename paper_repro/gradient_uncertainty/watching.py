"""Every estimator, prior and route beside a training run, at some dimensions of each layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
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


def watched_dimensions(blocks: Sequence[Block], most: int) -> dict[str, Tensor]:
    """Draw at most ``most`` dimensions of each layer; the same for the same layers."""
    generator = torch.Generator().manual_seed(0)
    return {block.name: torch.randperm(block.size, generator=generator)[:most].sort()[0] for block in blocks}


def at(moments: GradientMoments, positions: Tensor) -> GradientMoments:
    """Moments of some dimensions."""
    return GradientMoments.unchecked(
        mean=moments.mean[..., positions],
        scatter=moments.scatter[..., positions],
        count=moments.count,
        degrees_of_freedom=moments.degrees_of_freedom,
    )


def stack(moments: Sequence[GradientMoments]) -> GradientMoments:
    """Moments [B, D] of B batches [D]."""
    fields = ("mean", "scatter", "count", "degrees_of_freedom")
    return GradientMoments.unchecked(**{f: torch.stack([getattr(m, f) for m in moments]) for f in fields})


@dataclass
class Watch:
    """What the estimators and priors remember.

    Attributes:
        blocks: The layers.
        positions: Dimensions watched of each.
        streams: By estimator and source, what the estimator remembers of all dimensions.
        priors: By choice and pair, what the prior policy remembers of the watched dimensions.
    """

    blocks: Sequence[Block]
    positions: dict[str, Tensor]
    streams: dict[str, dict[str, Stream]] = field(default_factory=dict)
    priors: dict[Choice, dict[Pair, State]] = field(default_factory=dict)

    def read(self, losses: Mapping[str, Tensor], name: str) -> dict[Pair, GradientMoments]:
        """Moments by estimator ``name`` of one batch; nothing is remembered."""
        return self._estimate(losses, name)[0]

    def follow(self, losses: Mapping[str, Tensor], near: bool) -> None:
        """Remember one training batch; estimators without memory are only asked when ``near`` a stop."""
        for name, estimator in ESTIMATORS.items():
            if near or isinstance(estimator, Streaming):
                readings, self.streams[name] = self._estimate(losses, name)
                if near:
                    self._update_priors(name, readings)

    def forget_priors(self) -> None:
        """Start every prior anew."""
        self.priors = {}

    def _estimate(
        self, losses: Mapping[str, Tensor], name: str
    ) -> tuple[dict[Pair, GradientMoments], dict[str, Stream]]:
        found, streams = {}, dict(self.streams.get(name, {}))
        for source, loss in losses.items():
            estimate = ESTIMATORS[name].estimate(loss, self.blocks, streams.get(source, {}))
            streams[source] = estimate.state
            for block, moments in estimate.moments.items():
                found[block, source] = at(moments, self.positions[block])
        return found, streams

    def _update_priors(self, name: str, readings: Mapping[Pair, GradientMoments]) -> None:
        for prior in PRIORS:
            for route in ROUTES:
                states = self.priors.setdefault((name, prior, route), {})
                for pair, moments in readings.items():
                    states[pair] = _next(PRIORS[prior], route, moments, states.get(pair, {}))


def infer(
    policy: PriorPolicy, route: str, moments: GradientMoments, state: State
) -> tuple[GradientPrior, GradientPosterior]:
    """Prior and posterior of moments [..., D], as in :func:`bogc.calibration.calibrate_block`."""
    observed = moments.floored()
    prior, _ = policy.propose(observed, state)
    return prior, ROUTES[route](observed, prior)


def _next(policy: PriorPolicy, route: str, moments: GradientMoments, state: State) -> State:
    observed = moments.floored()
    prior, following = policy.propose(observed, state)
    return policy.absorb(following, ROUTES[route](observed, prior))


def batch_gradients(
    losses: Mapping[str, Tensor], blocks: Sequence[Block], positions: Mapping[str, Tensor]
) -> dict[Pair, Float[Tensor, " D"]]:
    """Gradient of each mean loss at the watched dimensions."""
    found = {}
    for source, loss in losses.items():
        for block, mean in Streaming().estimate(loss, blocks, {}).means.items():
            found[block, source] = mean[positions[block]]
    return found
