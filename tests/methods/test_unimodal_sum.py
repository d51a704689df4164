import pytest
import torch

from bogc.methods import UnimodalSum
from tests.networks import NETWORKS, gradients_of, losses_of

from .methods import gradient_of


def autograd_sum(model, seeds: tuple[int, ...], without: str | None = None) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for seed in seeds:
        losses = losses_of(model, seed=seed, without=without)
        torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
    return gradients_of(model)


@pytest.mark.parametrize("network", NETWORKS)
def test_equals_autograd_of_the_sum(network):
    model = NETWORKS[network]()
    found = gradient_of(model, UnimodalSum(model.partition()), losses_of(model))
    expected = autograd_sum(model, (1,))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_two_calls_accumulate_as_autograd_does(network):
    model = NETWORKS[network]()
    balancer = UnimodalSum(model.partition())
    for seed in (1, 2):
        balancer.backward(losses_of(model, seed=seed))
    found = gradients_of(model)
    expected = autograd_sum(model, (1, 2))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_missing_modality_leaves_its_modules_alone():
    model = NETWORKS["plain"]()
    found = gradient_of(model, UnimodalSum(model.partition()), losses_of(model, without="sound"))
    expected = autograd_sum(model, (1,), without="sound")
    assert found.keys() == expected.keys()
    assert not any(name.startswith("sound") for name in found)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_mean_loss_of_each_source_is_reported():
    model = NETWORKS["plain"]()
    losses = losses_of(model)
    info = UnimodalSum(model.partition()).backward(losses)
    assert {s: v.item() for s, v in info.losses.items()} == {s: v.mean().item() for s, v in losses.items()}
    assert info.summary() == {}
    assert info.histograms() == {}
