import pytest
import torch
from torch import Tensor, nn

from bogc.errors import LossError
from bogc.gradients import Closure, ModalityPartition, Reevaluation
from bogc.gradients.closure import Conditions, replaced
from tests.networks import Losses, PlainNetwork, RichNetwork, losses_of


def evaluated(network: nn.Module, closure: Closure) -> Reevaluation:
    return Reevaluation(closure, network.partition())


def shifted(network: PlainNetwork | RichNetwork) -> dict[nn.Parameter, Tensor]:
    return {p: p.detach() + 1 for p in network.fused.parameters()}


def test_losses_are_those_of_the_other_parameters_and_the_own_ones_come_back():
    network = PlainNetwork()
    again = evaluated(network, lambda: losses_of(network))
    other = PlainNetwork()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        for parameter in other.fused.parameters():
            parameter.add_(1)
    places = [p.data_ptr() for p in network.parameters()]
    before = [p.detach().clone() for p in network.parameters()]
    with again.at(shifted(network)) as losses:
        expected = losses_of(other)
        assert all(torch.equal(losses[source], expected[source]) for source in expected)
    assert [p.data_ptr() for p in network.parameters()] == places
    assert all(torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))


def test_an_earlier_graph_is_still_that_of_the_own_parameters():
    network = PlainNetwork()
    parameters = tuple(network.parameters())
    expected = torch.autograd.grad(losses_of(network)["fusion"].sum(), parameters, allow_unused=True)
    again = evaluated(network, lambda: losses_of(network))
    with again.at(shifted(network)):
        pass
    found = torch.autograd.grad(again.losses["fusion"].sum(), parameters, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


@pytest.mark.parametrize("where", ["closure", "inside"])
def test_parameters_buffers_and_generator_come_back_on_an_exception(where: str):
    network, calls = RichNetwork(dropout=0.5), []

    def closure() -> Losses:
        calls.append(1)
        losses = losses_of(network)
        if where == "closure" and len(calls) > 1:
            raise ZeroDivisionError("of the closure")
        return losses

    again = evaluated(network, closure)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), again.at(shifted(network)):
        raise ZeroDivisionError("inside")
    assert len(calls) == 2
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_same_masks_are_seen_and_running_statistics_are_updated_once():
    network = RichNetwork(dropout=0.5)
    again = evaluated(network, lambda: losses_of(network))
    statistics = [buffer.clone() for buffer in network.buffers()]
    torch.rand(3)  # the generator has moved on since
    generator = torch.get_rng_state()
    for _ in range(3):
        with again.at({}) as losses:
            assert all(torch.equal(losses[source], again.losses[source]) for source in losses)
    assert all(torch.equal(one, other) for one, other in zip(network.buffers(), statistics, strict=True))
    assert torch.equal(torch.get_rng_state(), generator)
    assert network.image[1].num_batches_tracked == 1


class Counting(nn.Module):
    """A layer whose output in training depends on a buffer that it moves, as spectral norm's does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls = self.calls + 1  # a new tensor each time
        return inputs @ self.weight * self.calls


def test_a_buffer_that_the_output_depends_on_starts_where_it_started():
    layer = Counting()
    partition = ModalityPartition({"image": layer})
    again = Reevaluation(lambda: {"fusion": layer(torch.ones(4, 3))}, partition)
    for _ in range(2):
        with again.at({}) as losses:
            assert torch.equal(losses["fusion"], again.losses["fusion"])
    assert layer.calls == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda first: first, r"closure must compute its losses anew; found the first ones of \['fusion'"),
        (lambda first: {"fusion": 2 * first["fusion"]}, "closure must return losses of .* samples again"),
        (lambda first: {s: 2 * loss[:5] for s, loss in first.items()}, "found {'fusion': 5, 'image': 5"),
        (lambda first: [], "losses must map each source to its losses; found list"),
        (lambda first: {s: loss.sum() for s, loss in first.items()}, "must have shape"),
    ],
)
def test_a_closure_that_returns_something_else_is_refused(change, message):
    network, found = PlainNetwork(), []

    def closure() -> Losses:
        if not found:
            found.append(losses_of(network))
            return found[0]
        return change(found[0])

    again = evaluated(network, closure)
    before = network.fused.weight.detach().clone()
    with pytest.raises(LossError, match=message), again.at(shifted(network)):
        pass
    assert torch.equal(network.fused.weight, before)


def test_gradients_are_enabled_in_the_closure():
    network = PlainNetwork()
    with torch.no_grad():
        again = evaluated(network, lambda: losses_of(network))
    assert again.losses["fusion"].requires_grad


def test_replaced_nests():
    weight = nn.Parameter(torch.zeros(2))
    with replaced({weight: torch.ones(2)}):
        with replaced({weight: torch.full((2,), 2.0)}):
            assert weight.tolist() == [2, 2]
        assert weight.tolist() == [1, 1]
    assert weight.tolist() == [0, 0]


def test_conditions_restore_what_was_changed_in_place():
    layer = nn.BatchNorm1d(3)
    kept = Conditions([layer])
    drawn = torch.rand(2)
    layer(torch.randn(5, 3) + 7)
    kept.restore()
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert torch.equal(torch.rand(2), drawn)
