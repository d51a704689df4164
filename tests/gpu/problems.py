"""The benchmarks' networks on the device that is measured."""

from dataclasses import replace

import torch
from torch import Tensor

from tests.benchmarks.networks import PROBLEMS, Problem

RESNETS = "two ResNet-18, 22 M, batch 16"


def on(device: torch.device, problem: Problem) -> Problem:
    """The same problem, moved to a device."""
    first, second = (x.to(device) for x in problem.inputs)
    network = problem.network.to(device)
    return replace(problem, network=network, inputs=(first, second), targets=problem.targets.to(device))


def resnets(batch: int) -> Problem:
    """Two ResNet-18 with another batch size."""
    return PROBLEMS[RESNETS][0](batch)


def flat(problem: Problem) -> Tensor:
    """All gradients of a network in one vector."""
    found = [p.grad.flatten() for p in problem.network.parameters() if p.grad is not None]
    return torch.cat(found)
