import pytest
import torch

from bogc.methods import JointTraining
from tests.networks import NETWORKS, gradients_of, losses_of

from .methods import gradient_of


@pytest.mark.parametrize("network", NETWORKS)
def test_equals_autograd_of_the_fusion_loss(network):
    model = NETWORKS[network]()
    found = gradient_of(model, JointTraining(model.partition()), losses_of(model))
    losses_of(model)["fusion"].mean().backward()
    expected = gradients_of(model)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_unimodal_losses_are_reported_nowhere_and_train_nothing():
    model = NETWORKS["plain"]()
    info = JointTraining(model.partition()).backward(losses_of(model))
    assert set(info.losses) == {"fusion"}
    assert model.image_head.weight.grad is None


def test_two_calls_accumulate_as_autograd_does():
    model = NETWORKS["rich"]()
    balancer = JointTraining(model.partition())
    for seed in (1, 2):
        balancer.backward(losses_of(model, seed=seed))
    found = gradients_of(model)
    model.zero_grad()
    for seed in (1, 2):
        losses_of(model, seed=seed)["fusion"].mean().backward()
    assert all(torch.equal(found[name], gradient) for name, gradient in gradients_of(model).items())
