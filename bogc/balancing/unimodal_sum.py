"""Plain sum of the fusion loss and all unimodal losses."""

from collections.abc import Mapping
from typing import Any

from bogc.balancing.balancer import Balancer, Step, plain_step
from bogc.balancing.observation import Observation
from bogc.balancing.share import EVERYWHERE


class UnimodalSum(Balancer):
    """g = sum over sources of the gradient of the mean loss: what calibration starts from and must beat."""

    divisible = EVERYWHERE

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        return plain_step(seen, dict.fromkeys(self.partition.sources, 1.0), self)
