"""Plain joint training: the fusion loss alone."""

from collections.abc import Mapping
from typing import Any

from bogc.balancing.balancer import Balancer, Step, plain_step
from bogc.balancing.observation import Observation
from bogc.balancing.share import EVERYWHERE
from bogc.gradients import FUSION


class JointTraining(Balancer):
    """g = grad of the mean fusion loss. Unimodal losses are ignored, so unimodal heads are not trained."""

    divisible = EVERYWHERE

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        return plain_step(seen, {FUSION: 1.0}, self)
