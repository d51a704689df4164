"""Bayesian-oriented gradient calibration."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.info import StepInfo
from bogc.calibration import CalibratedBlock, Pipeline, Scaling, Unscaled, calibrate_block
from bogc.gradients import (
    ModalityPartition,
    MomentEstimator,
    RunningMoments,
    Streaming,
    check_finite_gradients,
)


class BOGC(Balancer):
    """g_d = kappa_d sum_m w_md mu_md, block by block, from the fused opinion on each dimension.

    A block whose variance is not known yet, in the first steps of Streaming moments, gets the plain sum.

    Args:
        partition: Which modules belong to which modality.
        estimator: How gradient moments are estimated.
        pipeline: The choices between moments and update.
        scaling: The length of the whole update.
    """

    def __init__(
        self,
        partition: ModalityPartition,
        estimator: MomentEstimator | None = None,
        pipeline: Pipeline | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(partition)
        self.estimator = estimator or Streaming()
        self.pipeline = pipeline or Pipeline()
        self.scaling = scaling or Unscaled()

    def step(self, losses: Mapping[str, Tensor], state: Mapping[str, Any]) -> Step:
        """See the base class."""
        streams, priors = state.get("streams", {}), state.get("priors", {})
        estimates = {
            source: self.estimator.estimate(loss, self.partition.blocks, _unpack(streams.get(source, {})))
            for source, loss in losses.items()
        }
        means = {source: mean for source, (_, mean, _) in estimates.items()}
        check_finite_gradients({source: list(mean.values()) for source, mean in means.items()})
        directions: dict[str, Tensor] = {}
        plain: dict[str, Tensor] = {}
        blocks: dict[str, CalibratedBlock] = {}
        following = dict(priors)
        for block in self.partition.blocks:
            reached = [source for source in losses if block.name in means[source]]
            if not reached:
                continue
            plain[block.name] = torch.stack([means[source][block.name] for source in reached]).sum(0)
            directions[block.name] = plain[block.name]
            moments = {s: estimates[s][0][block.name] for s in reached if block.name in estimates[s][0]}
            if len(moments) == len(reached):
                calibrated, new = calibrate_block(moments, priors.get(block.name, {}), self.pipeline)
                following[block.name] = {**following.get(block.name, {}), **new}
                blocks[block.name], directions[block.name] = calibrated, calibrated.update.direction
        scaled = self.scaling(directions, plain)
        gradients = {
            parameter: part
            for block in self.partition.blocks
            if block.name in scaled
            for parameter, part in block.split(scaled[block.name])
        }
        info = StepInfo({source: loss.detach().mean() for source, loss in losses.items()}, blocks)
        seen = {source: _pack(stream) for source, (_, _, stream) in estimates.items()}
        return Step(gradients, info, {"streams": {**streams, **seen}, "priors": following})


def _pack(stream: Mapping[str, RunningMoments]) -> dict[str, dict[str, Any]]:
    return {block: running.state_dict() for block, running in stream.items()}


def _unpack(stream: Mapping[str, dict[str, Any]]) -> dict[str, RunningMoments]:
    return {block: RunningMoments.from_state(running) for block, running in stream.items()}
