"""Plain joint training: the fusion loss alone."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bogc.balancing.balancer import Balancer, Step, plain_step
from bogc.gradients import FUSION


class JointTraining(Balancer):
    """g = grad of the mean fusion loss. Unimodal losses are ignored, so unimodal heads are not trained."""

    def step(self, losses: Mapping[str, Tensor], state: Mapping[str, Any]) -> Step:
        """See the base class."""
        return plain_step({FUSION: losses[FUSION]}, self.partition)
