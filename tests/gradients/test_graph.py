import torch
from torch import nn

from bogc.gradients.graph import leaves
from tests.networks import RichNetwork, losses_of


def test_leaves_are_the_parameters_that_autograd_reaches():
    network = RichNetwork()
    losses = losses_of(network)
    for loss in losses.values():
        found = torch.autograd.grad(
            loss.sum(), list(network.parameters()), allow_unused=True, retain_graph=True
        )
        reached = {id(p) for p, g in zip(network.parameters(), found, strict=True) if g is not None}
        assert {id(leaf) for leaf in leaves([loss])} == reached


def test_a_deep_graph_does_not_exhaust_the_stack():
    weight = nn.Parameter(torch.ones(2))
    value = weight
    for _ in range(5000):
        value = value * 1.0
    assert [id(leaf) for leaf in leaves([value])] == [id(weight)]


def test_constants_have_no_leaves():
    assert leaves([torch.ones(2)]) == []
