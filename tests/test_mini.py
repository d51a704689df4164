"""The method on one page equals the one that trains."""

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

from bogc import BOGC, mini
from bogc.gradients import Successive
from bogc.mini import MiniBOGC
from bogc.posterior import SuccessivePrior
from tests.networks import NETWORKS, losses_of

SOURCE = Path(mini.__file__)
STEPS = 25


def test_is_a_page_that_needs_torch_alone():
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= 150
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"torch", "dataclasses"}


def test_its_constants_are_the_defaults():
    moments, prior = Successive(), SuccessivePrior()
    assert (moments.decay, moments.fast, moments.moderation) == (mini.DECAY, mini.FAST, mini.MODERATION)
    assert prior.decay == mini.DECAY
    assert prior.floor is None
    assert BOGC(NETWORKS["plain"]().partition()).pipeline.evidence.prior_weight == mini.W


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("without", [None, "sound"])
def test_equals_bogc_over_training(name: str, without: str | None):
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(NETWORKS[name]())
    full, page = networks
    balancer = BOGC(full.partition())
    small = MiniBOGC([list(block.parameters) for block in page.partition().blocks])
    optimisers = [torch.optim.SGD(network.parameters(), 0.1) for network in networks]
    for step in range(STEPS):
        absent = without if step % 4 == 3 and name == "plain" else None
        for network, give, optimiser in zip(networks, (balancer, small), optimisers, strict=True):
            optimiser.zero_grad()
            give.backward(losses_of(network, seed=step, without=absent))
        for block, other in zip(full.partition().blocks, page.partition().blocks, strict=True):
            own, theirs = (_gradient(b.parameters) for b in (block, other))
            torch.testing.assert_close(theirs, own, rtol=1e-6, atol=1e-9 * max(1.0, float(own.norm())))
        for optimiser in optimisers:
            optimiser.step()


def _gradient(parameters: tuple[nn.Parameter, ...]) -> torch.Tensor:
    return torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters])
