import itertools

import pytest
import torch
from torch import Tensor, nn

from bogc.balancing.source_jacobian import combine, source_jacobians
from bogc.gradients import ModalityPartition
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, losses_of


def by_autograd(network: nn.Module, losses: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Source -> name -> gradient of its mean loss, where it reaches the parameter."""
    named = dict(network.named_parameters())
    found = {}
    for source, loss in losses.items():
        drawn = torch.autograd.grad(loss.mean(), list(named.values()), retain_graph=True, allow_unused=True)
        found[source] = {name: g for name, g in zip(named, drawn, strict=True) if g is not None}
    return found


class Trunk(nn.Module):
    """A layer on top of both encoders that every loss passes through."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.sound, self.trunk = nn.Linear(5, 4), nn.Linear(6, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def losses(self) -> dict[str, Tensor]:
        image, sound = self.image(torch.randn(7, 5)), self.sound(torch.randn(7, 6))
        parts = {"fusion": image * sound, "image": image, "sound": sound}
        return {s: self.head(self.trunk(x).tanh()).logsumexp(1) for s, x in parts.items()}

    def partition(self) -> ModalityPartition:
        return ModalityPartition(
            {"image": self.image, "sound": self.sound}, shared=(self.trunk, self.head), model=self
        )


@pytest.mark.parametrize("without", [None, "image", "sound"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_rows_are_autograds_with_fusion_first_in_any_order_of_the_losses(order, without):
    network = PlainNetwork()
    losses = losses_of(network, without=without)
    shuffled = {source: losses[source] for source in [list(losses)[i] for i in order if i < len(losses)]}
    expected = by_autograd(network, losses)
    names = {parameter: name for name, parameter in network.named_parameters()}
    seen = []
    for jacobian in source_jacobians(shuffled, network.partition()):
        assert jacobian.rows.shape == (len(jacobian.sources), sum(jacobian.parameter_sizes))
        assert "fusion" not in jacobian.sources[1:]
        for source, row in zip(jacobian.sources, jacobian.rows, strict=True):
            for parameter, part in jacobian.split(row).items():
                torch.testing.assert_close(part, expected[source][names[parameter]], rtol=1e-12, atol=1e-16)
        seen += [names[parameter] for block in jacobian.blocks for parameter in block.parameters]
    assert sorted(seen) == sorted({name for reached in expected.values() for name in reached})


@pytest.mark.parametrize("network", NETWORKS)
def test_the_sum_of_rows_is_the_gradient_of_the_sum(network):
    model = NETWORKS[network]()
    losses = losses_of(model)
    jacobians = source_jacobians(losses, model.partition())
    found = combine(jacobians, lambda jacobian: jacobian.rows.sum(0))
    torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
    reached = {p for p in model.parameters() if p.grad is not None}
    assert found.keys() == reached
    for parameter, gradient in found.items():
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-12, atol=1e-16)


def test_encoders_meet_two_sources_and_heads_one():
    network = PlainNetwork()
    found = {(j.owner, j.sources): [b.name for b in j.blocks] for j in jacobians_of(network)}
    assert found == {
        ("image", ("fusion", "image")): ["image.0"],
        ("image", ("image",)): ["image_head"],
        ("sound", ("fusion", "sound")): ["sound.0"],
        ("sound", ("sound",)): ["sound_head"],
        ("shared", ("fusion",)): ["fused"],
    }


def jacobians_of(network: PlainNetwork | RichNetwork, without: str | None = None):
    return source_jacobians(losses_of(network, without=without), network.partition())


def test_a_missing_modality_has_no_row():
    found = [(j.owner, j.sources) for j in jacobians_of(PlainNetwork(), without="sound")]
    assert found == [("image", ("fusion", "image")), ("image", ("image",)), ("shared", ("fusion",))]


def test_a_layer_that_no_loss_reaches_is_left_out_and_a_tied_one_comes_once():
    network = RichNetwork()
    jacobians = jacobians_of(network)
    blocks = [block.name for jacobian in jacobians for block in jacobian.blocks]
    assert len(blocks) == len(set(blocks))
    assert "unused" not in blocks
    assert blocks.count("tied") == 1


def test_all_sources_reach_a_shared_trunk():
    network = Trunk()
    losses = network.losses()
    jacobians = {j.owner: j for j in source_jacobians(losses, network.partition())}
    assert jacobians["shared"].sources == ("fusion", "image", "sound")
    expected = by_autograd(network, losses)
    for source, row in zip(jacobians["shared"].sources, jacobians["shared"].rows, strict=True):
        names = ("trunk.weight", "trunk.bias", "head.weight", "head.bias")
        flat = torch.cat([expected[source][name].flatten() for name in names])
        torch.testing.assert_close(row, flat, rtol=1e-12, atol=1e-16)


def test_only_where_sources_meet_is_anything_combined():
    network = PlainNetwork()
    asked = []

    def first(jacobian):
        asked.append((jacobian.owner, jacobian.sources))
        return jacobian.rows[0]

    losses = losses_of(network)
    found = combine(source_jacobians(losses, network.partition()), first)
    assert asked == [("image", ("fusion", "image")), ("sound", ("fusion", "sound"))]
    expected = by_autograd(network, losses)
    for name, parameter in network.named_parameters():
        source = name.split("_")[0] if "_head" in name else "fusion"
        torch.testing.assert_close(found[parameter], expected[source][name], rtol=1e-12, atol=1e-16)
