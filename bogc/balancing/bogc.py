"""Bayesian-oriented gradient calibration."""

from collections.abc import Mapping
from typing import Any, TypeVar

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Observation
from bogc.balancing.share import EVERYWHERE
from bogc.calibration import Kernel, MatchEachBlock, Pipeline, Scaling, calibrator
from bogc.gradients import ModalityPartition, MomentEstimator, PerRow, check_finite_step

T = TypeVar("T")


class BOGC(Balancer):
    """g_d = kappa_d sum_m w_md g_md, block by block, from the fused opinion on each dimension (theory 5.39).

    A block whose variance is not known yet, in the first steps of Streaming moments, gets the plain sum.

    Args:
        partition: Which modules belong to which modality.
        estimator: How gradient moments are estimated.
        pipeline: The choices between moments and update.
        scaling: The length of the whole update.
        kernel: How the pass over all dimensions is run, ``Eager()`` if not given. Pipelines without a closed
            form go block by block, eagerly.

    Raises:
        ConfigError: Another kernel is given for such a pipeline.
    """

    divisible = EVERYWHERE

    def __init__(
        self,
        partition: ModalityPartition,
        estimator: MomentEstimator | None = None,
        pipeline: Pipeline | None = None,
        scaling: Scaling | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        super().__init__(partition)
        self.estimator = estimator or PerRow()
        self.estimator.attach(partition)
        self.pipeline = pipeline or Pipeline()
        self.scaling = scaling or MatchEachBlock()
        self.calibrator = calibrator(self.pipeline, self.scaling, kernel)

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        losses = seen.values()
        streams = state.get("streams", {})
        blocks = self.partition.blocks
        estimates = seen.estimates(self.estimator, self.partition, streams)
        means = _by_block({source: e.means for source, e in estimates.items()})
        moments = _by_block({source: e.moments for source, e in estimates.items()})
        known = {name: found for name, found in moments.items() if len(found) == len(means[name])}
        found = self.calibrator(means, known, state.get("priors", {}))
        check_finite_step({f"losses[{s!r}]": [loss] for s, loss in losses.items()} | dict(found.finite))
        split = (block.split(found.updates[block.name]) for block in blocks if block.name in found.updates)
        info = StepInfo(losses, found.blocks)
        following = {**streams, **{source: e.state for source, e in estimates.items()}}
        state = {"streams": following, "priors": found.states}
        return Step(dict(pair for pairs in split for pair in pairs), info, state)


def _by_block(values: Mapping[str, Mapping[str, T]]) -> dict[str, dict[str, T]]:
    """From source -> block -> value to block -> source -> value."""
    found: dict[str, dict[str, T]] = {}
    for source, blocks in values.items():
        for block, value in blocks.items():
            found.setdefault(block, {})[source] = value
    return found
