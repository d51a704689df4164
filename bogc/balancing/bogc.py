"""Bayesian-oriented gradient calibration."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Observation
from bogc.balancing.share import EVERYWHERE
from bogc.calibration import CalibratedBlock, MatchEachBlock, Pipeline, Scaling, calibrate_block
from bogc.gradients import Estimate, ModalityPartition, MomentEstimator, Streaming, check_finite_step


class BOGC(Balancer):
    """g_d = kappa_d sum_m w_md mu_md, block by block, from the fused opinion on each dimension.

    A block whose variance is not known yet, in the first steps of Streaming moments, gets the plain sum.

    Args:
        partition: Which modules belong to which modality.
        estimator: How gradient moments are estimated.
        pipeline: The choices between moments and update.
        scaling: The length of the whole update.
    """

    divisible = EVERYWHERE

    def __init__(
        self,
        partition: ModalityPartition,
        estimator: MomentEstimator | None = None,
        pipeline: Pipeline | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(partition)
        self.estimator = estimator or Streaming()
        self.estimator.attach(partition)
        self.pipeline = pipeline or Pipeline()
        self.scaling = scaling or MatchEachBlock()

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        losses = seen.values()
        streams, priors = state.get("streams", {}), dict(state.get("priors", {}))
        blocks = self.partition.blocks
        estimates = seen.estimates(self.estimator, self.partition, streams)
        plain: dict[str, Tensor] = {}
        calibrated: dict[str, CalibratedBlock] = {}
        for name in (block.name for block in blocks):
            reached = {source: e for source, e in estimates.items() if name in e.means}
            if reached:
                plain[name] = torch.stack([e.means[name] for e in reached.values()]).sum(0)
            moments = {source: e.moments[name] for source, e in reached.items() if name in e.moments}
            if reached and len(moments) == len(reached):
                calibrated[name], priors[name] = calibrate_block(moments, priors.get(name, {}), self.pipeline)
        directions = plain | {name: block.update.direction for name, block in calibrated.items()}
        scaled = self.scaling(directions, plain)
        _check_finite(losses, estimates, scaled)
        gradients = dict(
            pair for block in blocks if block.name in scaled for pair in block.split(scaled[block.name])
        )
        info = StepInfo(losses, calibrated)
        following = {**streams, **{source: e.state for source, e in estimates.items()}}
        return Step(gradients, info, {"streams": following, "priors": priors})


def _check_finite(
    losses: Mapping[str, Tensor], estimates: Mapping[str, Estimate], update: Mapping[str, Tensor]
) -> None:
    """Check losses, gradients and update in one read; finite gradients may still have infinite squares."""
    seen: dict[str, list[Tensor]] = {f"losses[{source!r}]": [loss] for source, loss in losses.items()}
    seen |= {f"gradient of losses[{s!r}]": list(e.means.values()) for s, e in estimates.items()}
    check_finite_step(seen | {"calibrated update": list(update.values())})
