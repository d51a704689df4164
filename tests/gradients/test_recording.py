import copy
import gc
import io
import weakref

import pytest
import torch
from torch import Tensor, nn

from bogc.gradients.recording import record, unwatch, uses, watch


def watched(*layers: nn.Module) -> nn.Sequential:
    network = nn.Sequential(*layers)
    watch([network], [nn.Linear, nn.BatchNorm1d])
    return network


def layers_reached(loss: Tensor) -> list[nn.Module]:
    return [call.layer for call, _ in uses([loss]).calls]


def test_calls_are_found_from_the_losses_that_reach_them():
    network = watched(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2), nn.Tanh())
    x = torch.randn(5, 3)
    found = uses([network(x).sum()])
    assert [call.layer for call, _ in found.calls] == [network[2], network[0]]
    assert found.outside == set()
    assert torch.equal(found.calls[1][0].input, x)
    assert not found.calls[0][0].input.requires_grad


def test_the_edge_is_where_the_layers_own_output_gets_its_gradient():
    network = watched(nn.Linear(3, 4), nn.ReLU(inplace=True))
    hidden = []
    network[0].register_forward_hook(lambda layer, inputs, output: hidden.append(output.detach().clone()))
    out = network(torch.randn(5, 3))
    ((_, edge),) = uses([out.sum()]).calls
    (delta,) = torch.autograd.grad(out.sum(), [edge])
    assert torch.equal(delta, (hidden[0] > 0).to(delta.dtype))


def test_a_users_hook_that_replaces_the_output_comes_later():
    network = nn.Sequential(nn.Linear(3, 4))
    network[0].register_forward_hook(lambda layer, inputs, output: 2 * output)
    watch([network], [nn.Linear])
    out = network(torch.randn(5, 3))
    ((_, edge),) = uses([out.sum()]).calls
    assert torch.equal(torch.autograd.grad(out.sum(), [edge])[0], torch.full((5, 4), 2.0))


def test_the_input_lives_as_long_as_the_graph():
    network = watched(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    out = network(torch.randn(5, 3))
    alive = [weakref.ref(call) for call, _ in uses([out]).calls]
    assert all(ref() is not None for ref in alive)
    del out
    gc.collect()
    assert all(ref() is None for ref in alive)


def test_a_chain_of_many_calls_is_freed():
    layer = watched(nn.Linear(2, 2))
    out = torch.randn(3, 2)
    for _ in range(20_000):
        out = layer(out)
    assert len(layers_reached(out)) == 20_000
    del out


def test_nothing_is_recorded_without_a_graph():
    network = watched(nn.Linear(3, 4))
    with torch.no_grad():
        assert network(torch.randn(5, 3)).grad_fn is None
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    assert network(torch.randn(5, 3)).grad_fn is None


def test_passes_do_not_see_each_other():
    network = watched(nn.Linear(3, 4))
    first, second = (network(torch.full((5, 3), value)) for value in (1.0, 2.0))
    for out, value in ((second, 2.0), (first, 1.0)):
        ((call, _),) = uses([out.sum()]).calls
        assert call.input.unique().item() == value


def test_calls_with_keywords_or_several_inputs_are_left_to_others():
    layer = watched(nn.Linear(3, 4))[0]
    found = uses([layer(input=torch.randn(5, 3))])
    assert found.calls == []
    assert found.outside == {id(layer.weight), id(layer.bias)}


def test_leaves_on_another_way_are_outside():
    layer = watched(nn.Linear(3, 4))[0]
    prompt, scale = nn.Parameter(torch.ones(5, 3)), nn.Parameter(torch.ones(4))
    found = uses([layer(prompt) * scale])
    assert found.outside == {id(prompt), id(scale)}
    assert uses([layer(2 * prompt) * scale]).outside == {id(prompt), id(scale)}
    assert id(layer.weight) in uses([layer(prompt) @ layer.weight]).outside


def test_under_autocast_a_cached_weight_is_still_told_apart():
    layer = watched(nn.Linear(4, 4))[0].float()
    x = torch.randn(5, 4, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert uses([layer(layer(x))]).outside == set()
        again = nn.functional.linear(layer(x), layer.weight)
    assert uses([again]).outside == {id(layer.weight)}


def test_watching_twice_hooks_once_and_unwatching_takes_all_off():
    network = watched(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.Conv1d(4, 4, 1)))
    watch([network, network[1]], [nn.Linear, nn.BatchNorm1d])
    hooked = [layer for layer in network.modules() if record in layer._forward_hooks.values()]
    assert hooked == [network[0], network[1][0]]
    assert all(len(layer._forward_hooks) == 1 for layer in hooked)
    network[0].register_forward_hook(print)
    unwatch([network])
    assert [len(layer._forward_hooks) for layer in network.modules()] == [0, 1, 0, 0, 0]


def test_only_the_exact_kind_is_watched():
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    network = watched(Doubled(3, 4), nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    assert layers_reached(network(torch.randn(5, 3))) == []


def test_networks_with_hooks_are_copied_and_pickled():
    network = watched(nn.Linear(3, 4))
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    for other in (copy.deepcopy(network), torch.load(file, weights_only=False)):
        assert layers_reached(other(torch.randn(5, 3))) == [other[0]]
    assert network.state_dict().keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_calls_are_recorded_once_or_not_at_all(reentrant):
    network = watched(nn.Linear(3, 4), nn.Tanh())
    x = torch.randn(5, 3, requires_grad=True)
    out = torch.utils.checkpoint.checkpoint(network, x, use_reentrant=reentrant)
    found = uses([out.sum()])
    assert len(found.calls) == (0 if reentrant else 1)
    if not reentrant:
        (delta,) = torch.autograd.grad(out.sum(), [found.calls[0][1]])
        torch.testing.assert_close(delta, 1 - out.square())


def test_a_change_in_place_is_noticed():
    network = watched(nn.BatchNorm1d(3).eval())
    x = torch.randn(5, 3)
    ((call, _),) = uses([network(x)]).calls
    assert call.is_intact
    network.train()(torch.randn(5, 3))  # changes the running statistics
    assert not call.is_intact
    ((call, _),) = uses([network(x)]).calls
    assert call.is_intact
    x.zero_()
    assert not call.is_intact
