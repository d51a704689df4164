"""What every method promises: additive, atomic, resumable, and blind to the order of the losses."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bogc.errors import BogcError, DtypeError, LossError, NonFiniteError, StateError
from bogc.gradients import ModalityPartition
from bogc.methods import Balancer, BatchView, JointTraining, Step, UnimodalSum
from bogc.methods.base import plain_step
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, batch, losses_of

from .methods import METHODS, assert_gradients_close, frozen, gradient_of

Network = PlainNetwork | RichNetwork
ONLY_FUSION = ("joint", "i2m2")  # of i2m2, what comes after the experts' own steps
all_methods = pytest.mark.parametrize("method", METHODS)


def prepared(method: str, network: Network, steps: int = 6) -> Balancer:
    """A balancer past its warm-up."""
    balancer = METHODS[method](network.partition())
    for seed in range(steps):
        balancer.backward(losses_of(network, seed=100 + seed))
    network.zero_grad()
    return balancer


@all_methods
def test_backward_adds_to_grad(method):
    """In place; on other networks the conformance test shows it."""
    model = RichNetwork()
    balancers = [prepared(method, model), prepared(method, model)]
    first = gradient_of(model, balancers[0], losses_of(model, seed=1))
    second = gradient_of(model, balancers[0], losses_of(model, seed=2))
    balancers[1].backward(losses_of(model, seed=1))
    before = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    balancers[1].backward(losses_of(model, seed=2))
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.equal(parameter.grad, first[name] + second[name])
            assert parameter.grad is before[name]


@all_methods
@pytest.mark.parametrize("network", NETWORKS)
def test_only_grad_changes(method, network):
    model = NETWORKS[network]()
    balancer = METHODS[method](model.partition())
    losses = losses_of(model)
    values = {name: value.clone() for name, value in model.state_dict().items()}
    balancer.backward(losses)
    for name, value in model.state_dict().items():
        assert torch.equal(value, values[name])  # parameters, and BatchNorm's running statistics


@all_methods
def test_parameters_that_no_loss_reaches_get_no_gradient(method):
    network = RichNetwork()
    found = gradient_of(network, prepared(method, network), losses_of(network))
    unreached = {"unused.weight", "unused.bias"}
    if method in ONLY_FUSION:
        unreached |= {f"{m}_head.{p}" for m in ("image", "sound") for p in ("weight", "bias")}
    assert set(dict(network.named_parameters())) - found.keys() == unreached


@all_methods
def test_gradients_are_plain_tensors_of_their_own(method):
    network = PlainNetwork()
    found = gradient_of(network, prepared(method, network), losses_of(network))
    pointers = {gradient.data_ptr() for gradient in found.values()}
    assert len(pointers) == len(found)
    assert not any(gradient.requires_grad for gradient in found.values())


@all_methods
def test_order_of_the_losses_changes_nothing(method):
    network = RichNetwork()
    balancers = [prepared(method, network), prepared(method, network)]
    for seed in (1, 2):
        losses = losses_of(network, seed=seed)
        turned = dict(reversed(losses_of(network, seed=seed).items()))
        assert_gradients_close(
            gradient_of(network, balancers[0], losses), gradient_of(network, balancers[1], turned), 1e-9
        )


def broken_losses(network: Network, source: str) -> dict[str, Tensor]:
    """Losses of which one sample of ``source`` is NaN, through the graph."""
    losses = losses_of(network)
    mask = torch.zeros_like(losses[source])
    mask[3] = float("nan")
    return {**losses, source: losses[source] * (1 + mask)}


@pytest.mark.parametrize(
    ("method", "source"),
    [(m, s) for m in METHODS for s in ("fusion", "sound") if m not in ONLY_FUSION or s != "sound"],
)
def test_a_nan_changes_nothing(method, source):
    network = RichNetwork()
    balancer = prepared(method, network)
    balancer.backward(losses_of(network))
    state = frozen(balancer.state_dict())
    grads = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    with pytest.raises(NonFiniteError, match=r"must be finite; found NaN or infinity. Nothing was changed"):
        balancer.backward(broken_losses(network, source))
    assert frozen(balancer.state_dict()) == state
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (name not in grads)
        assert name not in grads or torch.equal(parameter.grad, grads[name])
    balancer.backward(losses_of(network, seed=5))  # and it goes on


def test_the_broken_source_is_named():
    network = PlainNetwork()
    with pytest.raises(NonFiniteError, match=r"losses\['sound'\]"):
        prepared("bogc", network).backward(broken_losses(network, "sound"))


@all_methods
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda losses: {}, LossError, "losses must contain 'fusion'; found"),
        (lambda losses: {"image": losses["image"]}, LossError, "losses must contain 'fusion'"),
        (lambda losses: {**losses, "smell": losses["image"]}, LossError, "must be one of.*found smell"),
        (lambda losses: {**losses, "image": losses["image"].mean()}, LossError, "reduction='none'"),
        (lambda losses: {**losses, "image": losses["image"].detach()}, LossError, "no_grad/detach"),
        (lambda losses: {**losses, "image": losses["image"][:0]}, LossError, r"found shape \[0\]"),
        (lambda losses: {**losses, "image": losses["image"].long()}, DtypeError, "floating point"),
    ],
)
def test_wrong_losses_are_refused_before_anything_happens(method, change, error, message):
    network = PlainNetwork()
    balancer = METHODS[method](network.partition())
    before = frozen(balancer.state_dict())
    with pytest.raises(error, match=message) as caught:
        balancer.backward(change(losses_of(network)))
    assert isinstance(caught.value, BogcError)
    assert all(p.grad is None for p in network.parameters())
    assert frozen(balancer.state_dict()) == before


@all_methods
def test_a_saved_state_continues_bit_for_bit(method):
    network = RichNetwork()
    saved = prepared(method, network)
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded = METHODS[method](network.partition())
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert frozen(loaded.state_dict()) == frozen(saved.state_dict())
    for seed in range(3):
        losses = [losses_of(network, seed=seed) for _ in range(2)]
        first, second = (gradient_of(network, b, x) for b, x in zip((saved, loaded), losses, strict=True))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_loading_does_not_tie_two_balancers_together():
    network = PlainNetwork()
    first = prepared("bogc", network)
    second = METHODS["bogc"](network.partition())
    second.load_state_dict(first.state_dict())
    state = frozen(first.state_dict())
    second.backward(losses_of(network))
    assert frozen(first.state_dict()) == state


def test_a_loaded_state_is_on_the_device_of_the_parameters(device):
    """Other libraries read checkpoints on to the CPU."""
    loaded = METHODS["bogc"](PlainNetwork().to(device).partition())
    loaded.load_state_dict(prepared("bogc", PlainNetwork()).state_dict())
    devices = {leaf.device.type for leaf in tree_leaves(loaded.state_dict()) if isinstance(leaf, Tensor)}
    assert devices == {device.type}


def test_another_methods_state_is_refused():
    network = PlainNetwork()
    state = UnimodalSum(network.partition()).state_dict()
    with pytest.raises(StateError, match="must come from JointTraining; found UnimodalSum"):
        JointTraining(network.partition()).load_state_dict(state)


@pytest.mark.parametrize(
    "cut", [lambda s: s.pop("state"), lambda s: s.pop("members"), lambda s: s["members"].pop("member")]
)
def test_an_incomplete_state_is_refused_and_changes_nothing(cut):
    network = PlainNetwork()
    saved, loaded = Counting(network.partition()), Counting(network.partition())
    saved.backward(losses_of(network))
    state, before = saved.state_dict(), frozen(loaded.state_dict())
    cut(state)
    with pytest.raises(StateError, match=r"state must hold 'state' and 'members' with \['member'\]; found"):
        loaded.load_state_dict(state)
    assert frozen(loaded.state_dict()) == before


@all_methods
def test_batches_of_unequal_sources_work(method):
    """Only some samples have sound: its loss is shorter, and each source is a mean over its own samples."""
    network = PlainNetwork()
    losses = losses_of(network)
    losses["sound"] = losses["sound"][:5]
    found = gradient_of(network, METHODS[method](network.partition()), losses)
    assert all(bool(gradient.isfinite().all()) for gradient in found.values())


@all_methods
@pytest.mark.parametrize("network", NETWORKS)
def test_every_method_trains(method, network):
    model = NETWORKS[network]()
    balancer, optimiser = METHODS[method](model.partition()), torch.optim.SGD(model.parameters(), 0.2)
    start = losses_of(model)["fusion"].mean().item()
    for _ in range(15):
        optimiser.zero_grad()
        balancer.backward(losses_of(model))
        optimiser.step()
    assert losses_of(model)["fusion"].mean().item() < start


@all_methods
def test_float32_under_bf16_autocast(method):
    network = RichNetwork(dropout=0.1).float()
    balancer = METHODS[method](network.partition())
    inputs, targets = batch(dtype=torch.float32)
    for _ in range(7):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(inputs)
        losses = {
            s: nn.functional.cross_entropy(z.float(), targets, reduction="none") for s, z in logits.items()
        }
        found = gradient_of(network, balancer, losses)
    for gradient in found.values():
        assert gradient.dtype == torch.float32
        assert bool(gradient.isfinite().all())


@all_methods
def test_an_inner_layer_of_attention_and_dropout_is_repeatable(method):
    network = RichNetwork(dropout=0.5)
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        found.append(gradient_of(network, METHODS[method](network.partition()), losses_of(network)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_partition_of_one_modality_is_enough():
    layer = nn.Linear(2, 1)
    partition = ModalityPartition({"image": layer})
    for method in METHODS.values():
        method(partition).backward({"fusion": layer(torch.randn(6, 2)).squeeze(1)})
    assert bool(layer.weight.grad.isfinite().all())


@all_methods
def test_a_parameter_frozen_later_is_left_alone(method):
    network = PlainNetwork()
    balancer = prepared(method, network)
    network.image[0].weight.requires_grad_(False)
    found = gradient_of(network, balancer, losses_of(network))
    assert "image.0.weight" not in found
    assert "image.0.bias" in found


class Counting(Balancer):
    """Joint training with a member of its own, which each accepted step moves by one."""

    def __init__(self, partition: ModalityPartition) -> None:
        self.member = nn.Linear(1, 1)
        super().__init__(partition, {"member": self.member})

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        found = plain_step(seen, {"fusion": 1.0})
        return Step(found.gradients, found.info, {"steps": state.get("steps", 0) + 1}, self._commit)

    @torch.no_grad()
    def _commit(self) -> None:
        self.member.bias += 1


def test_members_move_only_with_accepted_steps():
    network = PlainNetwork()
    balancer = Counting(network.partition())
    start = balancer.member.bias.item()
    balancer.backward(losses_of(network))
    with pytest.raises(NonFiniteError, match="must be finite"):
        balancer.backward(broken_losses(network, "fusion"))
    assert balancer.member.bias.item() == start + 1
    assert balancer.state_dict()["state"] == {"steps": 1}


def test_members_are_saved_and_restored_with_the_state():
    network = PlainNetwork()
    saved, loaded = Counting(network.partition()), Counting(network.partition())
    saved.backward(losses_of(network))
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert frozen(loaded.state_dict()) == frozen(saved.state_dict())
    assert torch.equal(loaded.member.weight, saved.member.weight)


def test_outputs_and_targets_reach_the_method_as_they_are():
    network = PlainNetwork()
    seen: list[BatchView] = []

    class Looking(JointTraining):
        def step(self, observation: BatchView, state: Mapping[str, Any]) -> Step:
            seen.append(observation)
            return super().step(observation, state)

    targets = torch.arange(3)
    Looking(network.partition()).backward(losses_of(network), None, targets)
    assert seen[0].targets is targets
    assert seen[0].outputs is None


def view_of(network: Network, losses: dict[str, Tensor]) -> BatchView:
    return BatchView(losses, network.partition(), {source: len(loss) for source, loss in losses.items()})


def test_the_gradient_of_a_batch_leaves_out_what_is_not_reached():
    network = PlainNetwork()
    found = view_of(network, losses_of(network)).gradient({"image": 1.0})
    assert set(map(id, found)) == {id(p) for m in (network.image, network.image_head) for p in m.parameters()}


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_plain_step_names_the_loss_that_is_not_finite(value: str):
    network = PlainNetwork()
    losses = losses_of(network)
    losses["sound"] = losses["sound"] + float(value)
    with pytest.raises(NonFiniteError, match=r"losses\['sound'\] must be finite"):
        plain_step(view_of(network, losses), dict.fromkeys(losses, 1.0))
