"""The controls: what calibration may be mistaken for, each a method of its own.

They are registered only while an experiment runs: they are not methods that anyone should choose.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from bogc.checks import check_number
from bogc.gradients import ModalityPartition
from bogc.methods import METHODS, TABLES, setting
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import BatchView
from bogc.methods.registry import Job, method
from bogc.methods.search import Choice
from bogc.methods.sums import UnimodalSum

AVERAGED: Final = "averaged-sum"
PRECONDITIONED: Final = "preconditioned-sum"
TABLE: Final = "averaged_sum"
DECAY: Final = 0.95
TINY: Final = 1e-30


class AveragedSum(UnimodalSum):
    """An exponential average of the plain sum over steps, free of the bias of its start.

    Smoothing without a model: what the filtered posterior does once belief is taken out of it.

    Args:
        partition: Which modules belong to which modality.
        decay: Weight of the past.
    """

    def __init__(self, partition: ModalityPartition, decay: float) -> None:
        check_number("decay", decay, 0 <= decay < 1, "must lie in [0, 1)", "Use 0.9.")
        super().__init__(partition)
        self.decay = decay
        self._state = {"steps": 0, "means": {}}

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        plain = super().step(seen, state)
        steps, decay = state["steps"] + 1, self.decay
        means, found = dict(state["means"]), {}
        for name, p, gradient in _named(self.partition, plain.gradients):
            means[name] = (1 - decay) * gradient + decay * means.get(name, torch.zeros_like(gradient))
            found[p] = means[name] / (1 - decay**steps)
        return replace(plain, gradients=found, state={"steps": steps, "means": means})


class PreconditionedSum(UnimodalSum):
    """The plain sum over the root of its noise, at the plain sum's length in every parameter.

    Noise is measured as bogc does it, from differences of successive steps, moderated towards the mean of
    the parameter: diagonal preconditioning without prior, evidence or belief.
    """

    def __init__(self, partition: ModalityPartition) -> None:
        super().__init__(partition)
        self._state = {"last": {}, "noise": {}}

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        plain = super().step(seen, state)
        last, noise, found = dict(state["last"]), dict(state["noise"]), {}
        for name, p, gradient in _named(self.partition, plain.gradients):
            if name in last:
                noise[name] = _noise(gradient - last[name], noise.get(name))
            found[p] = _divided(gradient, noise[name]) if name in noise else gradient
            last[name] = gradient.clone()
        return replace(plain, gradients=found, state={"last": last, "noise": noise})


def _named(
    partition: ModalityPartition, gradients: Mapping[nn.Parameter, Tensor]
) -> Iterator[tuple[str, nn.Parameter, Tensor]]:
    """Place of the parameter as a name that can be saved, parameter and gradient."""
    for place, parameter in enumerate(partition.parameters):
        if parameter in gradients:
            yield str(place), parameter, gradients[parameter]


def _noise(gap: Tensor, before: Tensor | None) -> Tensor:
    """Average of squared differences over steps."""
    return gap.square() if before is None else DECAY * before + (1 - DECAY) * gap.square()


def _divided(gradient: Tensor, noise: Tensor) -> Tensor:
    """The gradient over the root of its moderated noise, at the gradient's own length."""
    moderated = (0.8 * noise + 0.2 * noise.mean()).sqrt() + TINY
    direction = gradient / moderated
    length: Tensor = gradient.norm() / (direction.norm() + TINY)
    return direction * length


@dataclass(frozen=True)
class AveragedSumSettings:
    """How long the average remembers."""

    decay: float = setting(0.9, "weight of the past, a step", Choice((0.5, 0.8, 0.9, 0.95, 0.98, 0.99)))


@contextmanager
def controls() -> Iterator[None]:
    """Let the controls be chosen by name while the context lasts."""
    about = partial(method, paper="a control", needs="all losses", passes="1")

    @about(AVERAGED, summary="average of the plain sum", settings=AveragedSumSettings)
    def _averaged(job: Job) -> Balancer:
        return AveragedSum(job.model.partition(), job.settings.decay)

    @about(PRECONDITIONED, summary="plain sum over the root of its noise")
    def _preconditioned(job: Job) -> Balancer:
        return PreconditionedSum(job.model.partition())

    try:
        yield
    finally:
        for name in (AVERAGED, PRECONDITIONED):
            METHODS.withdraw(name)
        TABLES.withdraw(TABLE)
