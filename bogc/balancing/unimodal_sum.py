"""Plain sum of the fusion loss and all unimodal losses."""

from collections.abc import Mapping
from typing import Any

from bogc.balancing.balancer import Balancer, Step, plain_step
from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Observation


class UnimodalSum(Balancer):
    """g = sum over sources of the gradient of the mean loss: what calibration starts from and must beat."""

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        means = seen.means
        return plain_step(means, self.partition, StepInfo.of(means))
