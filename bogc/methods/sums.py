"""Methods that are one backward pass of a weighted sum of the losses: joint, sum, fixed weights, MIMO."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number, check_real
from bogc.errors import ConfigError
from bogc.gradients import FUSION, ModalityPartition
from bogc.methods.base import Balancer, Step, plain_step
from bogc.methods.batch import EVERYWHERE, SHARDS, BatchView
from bogc.methods.registry import Job, method, setting
from bogc.methods.search import LogUniform


class JointTraining(Balancer):
    """g = grad of the mean fusion loss. Unimodal losses are ignored, so unimodal heads are not trained."""

    supports = (*EVERYWHERE, SHARDS)

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        return plain_step(seen, {FUSION: 1.0})


class UnimodalSum(Balancer):
    """g = sum over sources of the gradient of the mean loss: what calibration starts from and must beat."""

    supports = (*EVERYWHERE, SHARDS)

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        return plain_step(seen, dict.fromkeys(self.partition.sources, 1.0))


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

    supports = (*EVERYWHERE, SHARDS)

    def __init__(self, partition: ModalityPartition, weights: Mapping[str, float]) -> None:
        super().__init__(partition)
        if set(weights) != set(partition.sources):
            rule = f"must name exactly {list(partition.sources)}"
            raise ConfigError("weights", rule, list(weights), "Give every source a weight.")
        for source, weight in weights.items():
            check_real(**{f"weights[{source!r}]": weight})
            check_number(f"weights[{source!r}]", weight, weight >= 0, "must not be negative", "Use 1.")
        self.weights = dict(weights)

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        factors = {s: value.new_full((), self.weights[s]) for s, value in seen.values().items()}
        return plain_step(seen, factors, factors)


def smoothed_maximum_weights(losses: Float[Tensor, " M"], smoothing: float) -> Float[Tensor, " M"]:
    """p = softmax(f / mu), the gradient of mu log mean exp(f / mu) in f (theory 6.12)."""
    return torch.softmax(losses.detach() / smoothing, dim=0)


class MIMO(Balancer):
    """The fusion loss and a smoothed maximum of the unimodal losses (arXiv 2511.06686): one backward pass.

    g = grad f_0 + lambda sum_m p_m grad f_m with p = softmax(f / mu). The objective
    F = f_0 + lambda mu log mean exp(f / mu) is a reconstruction (theory 6.10); the paper's constants are not
    available to us, so lambda and mu are to be tuned.

    Args:
        partition: Which modules belong to which modality.
        strength: lambda >= 0; 0 is joint training.
        smoothing: mu > 0, in units of the loss; towards 0 only the worst modality counts.
    """

    supports = (*EVERYWHERE, SHARDS)

    def __init__(self, partition: ModalityPartition, strength: float = 1.0, smoothing: float = 0.1) -> None:
        super().__init__(partition)
        check_real(strength=strength, smoothing=smoothing)
        check_number("strength", strength, strength >= 0, "must not be negative", "Use 1.")
        check_number("smoothing", smoothing, smoothing > 0, "must be positive", "Use 0.1.")
        self.strength = strength
        self.smoothing = smoothing

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        means = seen.values()
        unimodal = [source for source in means if source != FUSION]
        factors = {FUSION: torch.ones_like(means[FUSION])}
        if unimodal:
            weights = smoothed_maximum_weights(torch.stack([means[m] for m in unimodal]), self.smoothing)
            factors |= dict(zip(unimodal, self.strength * weights, strict=True))
        return plain_step(seen, factors, factors)


@dataclass(frozen=True)
class FixedWeightsSettings:
    """The two weights that every data set has; a mapping by source is for your own loop."""

    fusion: float = setting(1.0, "weight of the fusion loss")
    unimodal: float = setting(1.0, "weight of each unimodal loss", LogUniform(0.05, 20.0))


@dataclass(frozen=True)
class MIMOSettings:
    """lambda and mu."""

    strength: float = setting(1.0, "lambda, weight of the smoothed maximum", LogUniform(0.1, 10.0))
    smoothing: float = setting(0.1, "mu, smoothing of the maximum", LogUniform(0.01, 10.0))


@method("joint", summary="fusion loss alone", paper="plain training", needs="fusion loss", passes="1")
def _joint(job: Job) -> Balancer:
    return JointTraining(job.model.partition())


@method(
    "sum",
    summary="plain sum of fusion and unimodal losses",
    paper="plain training",
    needs="all losses",
    passes="1",
)
def _sum(job: Job) -> Balancer:
    return UnimodalSum(job.model.partition())


@method(
    "fixed-weights",
    summary="sum of losses with tuned constant weights",
    paper="the form of arXiv 1905.12681",
    needs="all losses",
    passes="1",
    settings=FixedWeightsSettings,
)
def _fixed_weights(job: Job) -> Balancer:
    partition, own = job.model.partition(), job.settings
    return FixedWeights(partition, dict.fromkeys(partition.sources, own.unimodal) | {FUSION: own.fusion})


@method(
    "mimo",
    summary="fusion loss and a smoothed maximum of the unimodal ones",
    paper="arXiv 2511.06686 (form reconstructed)",
    needs="all losses",
    passes="1",
    settings=MIMOSettings,
)
def _mimo(job: Job) -> Balancer:
    return MIMO(job.model.partition(), job.settings.strength, job.settings.smoothing)
