"""Plain sum of the fusion loss and all unimodal losses."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bogc.balancing.balancer import Balancer, Step, plain_step


class UnimodalSum(Balancer):
    """g = sum over sources of the gradient of the mean loss: what calibration starts from and must beat."""

    def step(self, losses: Mapping[str, Tensor], state: Mapping[str, Any]) -> Step:
        """See the base class."""
        return plain_step(losses, self.partition)
