import pytest
import torch

from bogc.gradients.source_gradients import pop_flat, reaches, source_gradients
from tests.networks import NETWORKS, losses_of


@pytest.mark.parametrize("network", NETWORKS)
def test_each_source_has_autograds_gradient_of_its_mean(network):
    model = NETWORKS[network]()
    losses = losses_of(model)
    blocks = model.partition().blocks
    found = source_gradients(losses, blocks)
    assert found.keys() == losses.keys()
    for source, loss in losses.items():
        parameters = list(model.parameters())
        expected = torch.autograd.grad(loss.mean(), parameters, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(parameters, expected, strict=True):
            assert (id(parameter) in found[source]) == (gradient is not None)
            if gradient is not None:
                torch.testing.assert_close(found[source][id(parameter)], gradient, rtol=1e-12, atol=1e-16)


def test_flattening_puts_zeros_where_nothing_arrived_and_forgets_the_rest():
    model = NETWORKS["plain"]()
    blocks = {block.name: block for block in model.partition().blocks}
    block, other = blocks["image.0"], blocks["fused"]
    weight, bias = block.parameters
    gradients = {id(bias): torch.ones_like(bias), id(other.parameters[1]): torch.ones(3)}
    assert reaches(block, gradients)
    assert not reaches(blocks["sound.0"], gradients)
    flat = pop_flat([block], gradients)
    assert torch.equal(flat, torch.cat([torch.zeros(weight.numel()), torch.ones(bias.numel())]))
    assert list(gradients) == [id(other.parameters[1])]
    assert not reaches(block, gradients)
