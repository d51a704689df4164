"""Gradient blending by fixed weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bogc.balancing.balancer import Balancer, Step, plain_step
from bogc.balancing.fields import setting
from bogc.balancing.observation import Observation
from bogc.balancing.search import LogUniform
from bogc.balancing.share import EVERYWHERE
from bogc.checks import check_number
from bogc.errors import ConfigError
from bogc.gradients import FUSION, ModalityPartition


class FixedWeights(Balancer):
    """g = sum over sources of w_s times the gradient of the mean loss, with constant w_s.

    The form of Gradient-Blending (Wang et al., arXiv 1905.12681); its estimate of the weights from
    overfitting-to-generalisation ratios is not part of this method: here they are given, or tuned.

    Args:
        partition: Which modules belong to which modality.
        weights: Source -> w_s, non-negative; every source of the partition.

    Raises:
        ConfigError: A source has no weight, or a weight no source.
        RangeError: A weight is negative.
    """

    divisible = EVERYWHERE

    def __init__(self, partition: ModalityPartition, weights: Mapping[str, float]) -> None:
        super().__init__(partition)
        if set(weights) != set(partition.sources):
            rule = f"must name exactly {list(partition.sources)}"
            raise ConfigError("weights", rule, list(weights), "Give every source a weight.")
        for source, weight in weights.items():
            check_number(f"weights[{source!r}]", weight, weight >= 0, "must not be negative", "Use 1.")
        self.weights = dict(weights)

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        factors = {source: value.new_tensor(self.weights[source]) for source, value in seen.values().items()}
        return plain_step(seen, factors, self, factors)


@dataclass(frozen=True)
class FixedWeightsSettings:
    """The two weights that every data set has; a mapping by source is for your own loop."""

    fusion: float = setting(1.0, "weight of the fusion loss")
    unimodal: float = setting(1.0, "weight of each unimodal loss", LogUniform(0.05, 20.0))

    def build(self, partition: ModalityPartition) -> FixedWeights:
        """Make the balancer."""
        return FixedWeights(
            partition, dict.fromkeys(partition.sources, self.unimodal) | {FUSION: self.fusion}
        )
