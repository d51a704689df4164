"""Parameters that no loss reaches: named once, again when the set changes, taken in when they return."""

import warnings

import pytest
import torch
from torch import nn

from bogc.errors import PartitionError, UnreachedWarning, UnsuitableError
from bogc.gradients import ModalityPartition
from bogc.methods import BOGC

from .problems import BALANCERS, Pair, batch, cross_entropies, losses_of, train

every = pytest.mark.parametrize("method", BALANCERS)
pytestmark = pytest.mark.filterwarnings("error::bogc.errors.UnreachedWarning")


class Detached(nn.Module):
    """The first layer is cut off by accident."""

    def __init__(self, cut: bool = True) -> None:
        super().__init__()
        self.first, self.second, self.cut = nn.Linear(5, 5), nn.Linear(5, 4), cut

    def forward(self, x):
        hidden = self.first(x).tanh()
        return self.second(hidden.detach() if self.cut else hidden)


@every
def test_a_detached_layer_is_named_once(method):
    network = Pair(Detached())
    balancer = BALANCERS[method](network.partition())
    with pytest.warns(
        UnreachedWarning, match=r"No loss reaches image\.first\.weight, image\.first\.bias"
    ) as seen:
        balancer.backward(losses_of(network))
    assert len(seen) == 1
    balancer.backward(losses_of(network, 1))  # an error if it warned again
    assert network.image.first.weight.grad is None


@every
def test_another_set_is_named_again_and_what_is_reached_again_is_trained(method):
    network = Pair(Detached())
    balancer = BALANCERS[method](network.partition())
    with pytest.warns(UnreachedWarning, match="image.first"):
        balancer.backward(losses_of(network))
    network.image.cut = False
    balancer.backward(losses_of(network, 1))
    assert network.image.first.weight.grad.any()
    network.image.cut = True
    balancer.backward(losses_of(network, 2))  # the same set as before
    own = losses_of(network, 3)
    own.pop("sound")
    with pytest.warns(UnreachedWarning, match="sound_head|image.first"):
        balancer.backward(losses_of(network, 3) | {"image": own["fusion"]})


@every
def test_an_absent_modality_is_no_accident(method):
    network = Pair()
    balancer = BALANCERS[method](network.partition())
    for step in range(2):
        image, _, targets = batch(step)
        a = network.image(image)
        logits = {
            "fusion": network.fused(torch.cat([a, torch.zeros_like(a)], 1)),
            "image": network.image_head(a),
        }
        balancer.backward(cross_entropies(logits, targets))


@every
def test_layers_frozen_when_the_balancer_was_made_are_taken_in_when_unfrozen(method):
    network = Pair(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4)))
    network.image[0].requires_grad_(False)
    balancer = BALANCERS[method](network.partition())
    balancer.backward(losses_of(network))
    assert network.image[0].weight.grad is None
    network.image[0].requires_grad_(True)
    for step in range(1, 6):
        balancer.backward(losses_of(network, step))
    assert network.image[0].weight.grad.any()
    network.image[2].requires_grad_(False)
    network.zero_grad()
    balancer.backward(losses_of(network, 7))
    assert network.image[2].weight.grad is None


class Adapted(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, 2))

    def forward(self, x):
        return self.layer(x) + x @ self.down.T @ self.up.T


@every
def test_an_adapter_inserted_later_is_trained(method):
    network = Pair(nn.Sequential(nn.Linear(5, 4)))
    balancer = BALANCERS[method](network.partition())
    balancer.backward(losses_of(network))
    network.image[0] = Adapted(network.image[0])
    train(network, balancer, lambda step: losses_of(network, step))
    assert network.image[0].up.grad.any()
    assert network.image[0].layer.weight.grad is None or not network.image[0].layer.weight.requires_grad


def test_what_a_loss_reaches_outside_the_partition_is_refused():
    network = Pair()
    partition = ModalityPartition({"image": network.image, "sound": network.sound})
    with pytest.raises(PartitionError, match="must cover every trainable parameter"):
        BOGC(partition).backward(losses_of(network))


def test_nothing_is_said_where_everything_is_reached():
    network = Pair()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(network, BOGC(network.partition()), lambda step: losses_of(network, step))


def test_a_reentrant_checkpoint_is_refused_by_name():
    from torch.utils.checkpoint import checkpoint

    network = Pair()
    image, sound, targets = torch.randn(8, 5, requires_grad=True), torch.randn(8, 3), torch.arange(8) % 2

    def run():
        a = checkpoint(network.image, image, use_reentrant=True)
        logits = network.fused(torch.cat([a, network.sound(sound)], 1))
        return {"fusion": nn.functional.cross_entropy(logits, targets, reduction="none")}

    with pytest.raises(UnsuitableError, match="use_reentrant=False"):
        BOGC(network.partition()).backward(run())
    assert all(p.grad is None for p in network.parameters())
