"""Balancing methods that need losses alone, and what the tests of methods share."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bogc.calibration import Pipeline, Unscaled
from bogc.gradients import Grouped, ModalityPartition, PerSample, Successive
from bogc.methods import (
    BOGC,
    I2M2,
    MIMO,
    Balancer,
    FixedWeights,
    InverseVariance,
    JacobianDescent,
    JointTraining,
    MMPareto,
    ReleasedMMPareto,
    UnimodalSum,
)
from bogc.posterior import FilteredRoute, StationaryPrior

METHODS: dict[str, Callable[[ModalityPartition], Balancer]] = {
    "joint": JointTraining,
    "sum": UnimodalSum,
    "fixed-weights": lambda partition: FixedWeights(partition, dict.fromkeys(partition.sources, 0.7)),
    "mimo": MIMO,
    "mmpareto": MMPareto,
    "mmpareto-released": ReleasedMMPareto,
    "inverse-variance": InverseVariance,
    "inverse-variance-grouped": lambda partition: InverseVariance(partition, Grouped(2)),
    "i2m2": lambda partition: I2M2(partition, 2),
    "jacobian-descent": lambda partition: JacobianDescent(partition, mean_of_rows, 0.5),
    "bogc": BOGC,
    "bogc-unscaled": lambda partition: BOGC(partition, Successive(0.8), scaling=Unscaled()),
    "bogc-grouped": lambda partition: BOGC(partition, Grouped(3)),
    "bogc-per-sample": lambda partition: BOGC(partition, PerSample(), scaling=Unscaled()),
    "bogc-filtered": lambda partition: BOGC(
        partition, pipeline=Pipeline(prior=StationaryPrior(), route=FilteredRoute())
    ),
}


def mean_of_rows(rows: Tensor) -> Tensor:
    return rows.mean(0)


def gradient_of(network: nn.Module, balancer: Balancer, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """``.grad`` after one ``backward`` from none, by parameter name; gradients are removed again."""
    network.zero_grad(set_to_none=True)
    balancer.backward(losses)
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad(set_to_none=True)
    return found


def frozen(value: Any) -> Any:
    """A copy in which every tensor is a list, to compare with ``==``."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, list):
        return [frozen(item) for item in value]
    return copy.deepcopy(value)


def assert_gradients_close(actual: dict[str, Tensor], expected: dict[str, Tensor], rtol: float) -> None:
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        size = gradient.abs().max().item()
        torch.testing.assert_close(actual[name], gradient, rtol=rtol, atol=rtol * size + 1e-14, msg=name)
