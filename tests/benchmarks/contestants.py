"""Whole training steps on one problem: forward pass, gradients by one way or another, SGD with momentum."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch

from bogc import BOGC, Balancer, UnimodalSum
from bogc.methods import InverseVariance, MMPareto
from tests.benchmarks.networks import Problem

Work = Callable[[], object]


def _plain(problem: Problem) -> Work:
    return lambda: torch.stack([loss.mean() for loss in problem.losses().values()]).sum().backward()


def _passes(problem: Problem) -> Work:
    """M separate backward passes, whose gradients are dropped."""
    parameters = list(problem.network.parameters())

    def work() -> None:
        for loss in problem.losses().values():
            torch.autograd.grad(loss.mean(), parameters, retain_graph=True, allow_unused=True)

    return work


def _upgrad(problem: Problem) -> Work:
    from torchjd import autojac
    from torchjd.aggregation import UPGrad

    parameters, aggregator = list(problem.network.parameters()), UPGrad()

    def work() -> None:
        autojac.backward([loss.mean() for loss in problem.losses().values()], inputs=parameters)
        autojac.jac_to_grad(parameters, aggregator)

    return work


def _balanced(make: Callable[..., Balancer]) -> Callable[[Problem], Work]:
    def of(problem: Problem) -> Work:
        balancer = make(problem.network.partition())
        return lambda: balancer.backward(problem.losses())

    return of


CONTESTANTS: Final[Mapping[str, Callable[[Problem], Work]]] = {
    "plain sum": _plain,
    "sum": _balanced(UnimodalSum),
    "separate passes": _passes,
    "torchjd UPGrad": _upgrad,
    "mmpareto": _balanced(MMPareto),
    "inverse variance": _balanced(InverseVariance),
    "bogc": _balanced(BOGC),
    "bogc, compiled": _balanced(partial(BOGC, compiled=True)),
}
"""Name -> a problem's step without the optimiser; the first is the reference."""


def step(problem: Problem, contestant: str) -> Work:
    """A whole training step of a contestant on a problem of its own."""
    optimiser = torch.optim.SGD(problem.network.parameters(), lr=1e-3, momentum=0.9, foreach=False)
    work = CONTESTANTS[contestant](problem)

    def whole() -> None:
        optimiser.zero_grad()
        work()
        optimiser.step()

    return whole
