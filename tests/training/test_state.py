import copy
import io
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from bogc.errors import ConfigError, MomentumWarning, NonFiniteError
from bogc.methods import BOGC, METHODS, JointTraining, UnimodalSum
from bogc.methods.registry import EXPERTS
from bogc.models import FUSIONS, MultimodalClassifier, ProductOfExperts
from bogc.training import TrainConfig, per_sample_losses, train_step
from bogc.training.state import (
    Best,
    Network,
    TrainingState,
    batch_order,
    build_network,
    own_part,
    reproducible,
    rng_state,
    set_rng_state,
)
from tests import tiny


@given(st.integers(2, 200), st.integers(2, 64), st.integers(0, 1000), st.integers(0, 50))
def test_batches_are_disjoint_complete_and_repeatable(samples: int, size: int, seed: int, epoch: int):
    batches = batch_order(samples, size, seed, epoch)
    joined = torch.cat(batches)
    assert len(joined.unique()) == len(joined)
    assert len(joined) == (samples // size * size or samples)
    again = batch_order(samples, size, seed, epoch)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ():
    orders = [tuple(torch.cat(batch_order(100, 10, s, e)).tolist()) for s in range(3) for e in range(3)]
    assert len(set(orders)) == 9


def test_surroundings_are_restored():
    before = torch.get_rng_state()
    with reproducible(3):
        first = torch.randn(4)
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    with reproducible(3):
        assert torch.equal(torch.randn(4), first)


def test_generator_state_round_trip():
    state = rng_state()
    first = torch.randn(4)
    set_rng_state(state)
    assert torch.equal(torch.randn(4), first)


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_parts_of_a_batch_are_neighbours_and_together_the_batch(processes: int):
    (batch, *_) = batch_order(20, 7, 0, 0)
    parts = [own_part(batch, rank, processes) for rank in range(processes)]
    assert torch.equal(torch.cat(parts), batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def built(seed: int = 0, **settings: object) -> Network:
    torch.manual_seed(seed)
    return build_network(TrainConfig(features=8, **settings), tiny.load())


@pytest.mark.parametrize("method", METHODS)
def test_the_method_decides_the_kind_of_network(method: str):
    kind = ProductOfExperts if METHODS[method].model == EXPERTS else MultimodalClassifier
    assert type(built(method=method)) is kind


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("method", ["joint", "i2m2"])
def test_head_width_and_classes_are_those_of_configuration_and_data(method: str, fusion: str):
    model = built(method=method, fusion=fusion)
    head = model.joint.fusion if isinstance(model, ProductOfExperts) else model.fusion
    assert type(head) is FUSIONS[fusion]
    assert (head.modalities, head.features, head.classes) == (("vector", "series"), 8, 3)


def test_every_method_starts_from_the_same_encoders():
    first, second, experts = (built(method=method) for method in ("joint", "bogc", "i2m2"))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    for name, value in first.encoders.state_dict().items():
        assert torch.equal(value, experts.encoders.state_dict()[name])


def test_the_seed_alone_decides_the_weights():
    first, again, other = built(seed=1), built(seed=1), built(seed=2)
    weights = [model.fusion.linear.weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_network_is_where_the_data_is(device: torch.device):
    model = build_network(TrainConfig(features=8), tiny.load().to(device))
    assert {parameter.device.type for parameter in model.parameters()} == {device.type}


CONFIG = TrainConfig(epochs=2, features=8)


REFUSED = {"ogm-ge-released": "must have a 4-D weight"}  # the tiny data set has no images


@pytest.mark.parametrize("method", REFUSED)
def test_a_method_that_cannot_train_the_network_is_refused_when_created(method: str):
    with pytest.raises(ConfigError, match=REFUSED[method]):
        TrainingState.create(TrainConfig(method=method, features=8), tiny.load(), 10)


@pytest.mark.parametrize("method", [method for method in METHODS if method not in REFUSED])
def test_restored_state_goes_on_bit_identically(method: str):
    torch.set_default_dtype(torch.float32)
    data = tiny.load()
    config = TrainConfig(method=method, epochs=2, features=8)

    def advance(state: TrainingState, steps: int) -> None:
        for _ in range(steps):
            batch = data.take(torch.randint(0, len(data), (32,)))
            train_step(state.model, batch, state.balancer, state.optimiser, bf16=False)
            state.schedule.step()
            state.step += 1

    first = TrainingState.create(config, data, 10)
    advance(first, 8)
    file = io.BytesIO()
    torch.save(first.state_dict("d"), file)
    advance(first, 4)
    second = TrainingState.create(config, data, 10)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    advance(second, 4)
    assert second.step == first.step == 12
    expected = first.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.model.state_dict().items())


def test_best_prefers_accuracy_then_lower_loss():
    model = TrainingState.create(CONFIG, tiny.load(), 1).model
    best = Best()
    for epoch, (accuracy, nll) in enumerate([(0.5, 1.0), (0.6, 2.0), (0.6, 1.5), (0.6, 1.9), (0.4, 0.1)]):
        best.consider(accuracy, nll, epoch, model)
    assert (best.accuracy, best.nll, best.epoch) == (0.6, 1.5, 2)
    assert best.weights.keys() == model.state_dict().keys()


def test_the_balancer_is_told_how_many_steps_there_will_be():
    config = TrainConfig(method="i2m2", epochs=3, features=8)
    assert TrainingState.create(config, tiny.load(), 10).balancer.apart == 15


def test_the_balancer_is_told_how_many_samples_are_trained_on():
    data = tiny.load().subset(torch.arange(90))
    balancer = TrainingState.create(TrainConfig(features=8), data, 10).balancer
    assert balancer.pipeline.prior.samples == 90


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_averaging_twice_is_warned_of(optimiser: str):
    config = TrainConfig(features=8, optimiser=optimiser, settings={"calibration": {"posterior": "filtered"}})
    message = r"bogc averages gradients over steps, .* momentum 0\.9: .*averaged twice. Use --momentum 0\.$"
    with pytest.warns(MomentumWarning, match=message):
        TrainingState.create(config, tiny.load(), 10)
    TrainingState.create(replace(config, momentum=0.0), tiny.load(), 10)  # a warning would be an error


def test_a_step_of_adamw_lowers_the_loss():
    torch.set_default_dtype(torch.float32)
    data = tiny.load()
    state = TrainingState.create(TrainConfig(features=8, optimiser="adamw", lr=0.003), data, 10)
    batch = data.take(torch.arange(60))
    losses = [
        float(train_step(state.model, batch, state.balancer, state.optimiser, bf16=False).losses["fusion"])
        for _ in range(15)
    ]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("method", ["cggm", "inverse-variance"])
def test_the_balancers_state_is_loaded_onto_the_device_of_the_model(method: str, device: torch.device):
    torch.set_default_dtype(torch.float32)
    config = TrainConfig(method=method, features=8)
    data = tiny.load().to(device)
    first, second = (TrainingState.create(config, data, 10) for _ in range(2))
    batch = data.take(torch.arange(32, device=device))
    for _ in range(3):
        train_step(first.model, batch, first.balancer, first.optimiser, bf16=False)
    file = io.BytesIO()
    torch.save(first.state_dict("d"), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    for state in (first, second):
        train_step(state.model, batch, state.balancer, state.optimiser, bf16=False)
    expected = first.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.model.state_dict().items())


@pytest.fixture
def model() -> MultimodalClassifier:
    data = tiny.load()
    return MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float()


def test_losses_are_one_a_sample(model: MultimodalClassifier):
    batch = tiny.load().take(torch.arange(10))
    outputs = model(batch.inputs)
    losses = per_sample_losses(outputs, batch.targets)
    assert {s: tuple(loss.shape) for s, loss in losses.items()} == dict.fromkeys(
        ("fusion", "vector", "series"), (10,)
    )
    torch.testing.assert_close(
        losses["fusion"].mean(), functional.cross_entropy(outputs.fused, batch.targets)
    )


@pytest.mark.parametrize("method", [JointTraining, UnimodalSum, BOGC])
@pytest.mark.parametrize("bf16", [False, True])
def test_steps_lower_the_loss(model: MultimodalClassifier, method: type, bf16: bool, device: torch.device):
    model.to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    balancer = method(model.partition())
    batch = tiny.load().take(torch.arange(60)).to(device)
    losses = [float(train_step(model, batch, balancer, optimiser, bf16).losses["fusion"]) for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_nan_batch_changes_no_parameter(model: MultimodalClassifier):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    batch = tiny.load().take(torch.arange(20))
    broken = type(batch)({**batch.inputs, "vector": batch.inputs["vector"] * float("nan")}, batch.targets)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(NonFiniteError, match=r"losses\['fusion'\] must be finite; found NaN"):
        train_step(model, broken, BOGC(model.partition()), optimiser, bf16=False)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not optimiser.state


@pytest.mark.parametrize("bf16", [False, True])
def test_losses_are_float32_whatever_the_forward_pass_ran_in(model: MultimodalClassifier, bf16: bool):
    batch = tiny.load().take(torch.arange(10))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        outputs = model(batch.inputs)
    assert (outputs.fused.dtype == torch.bfloat16) == bf16
    assert {loss.dtype for loss in per_sample_losses(outputs, batch.targets).values()} == {torch.float32}


def test_a_step_is_forward_backward_and_one_step_of_the_optimiser(model: MultimodalClassifier):
    other = copy.deepcopy(model)
    batch = tiny.load().take(torch.arange(20))
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9) for m in (model, other)]
    for _ in range(2):
        train_step(model, batch, UnimodalSum(model.partition()), optimisers[0], bf16=False)
        optimisers[1].zero_grad()
        losses = per_sample_losses(other(batch.inputs), batch.targets)
        torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
        optimisers[1].step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])


def test_the_balancer_sees_outputs_and_targets_of_this_batch(model: MultimodalClassifier):
    batch = tiny.load().take(torch.arange(20))
    seen = []

    class Looking(JointTraining):
        def step(self, observation, state):
            seen.append(observation.predictions("this test"))
            return super().step(observation, state)

    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    info = train_step(model, batch, Looking(model.partition()), optimiser, bf16=False)
    outputs, targets = seen[0]
    assert targets is batch.targets
    fused = functional.cross_entropy(outputs.fused, targets)
    torch.testing.assert_close(info.losses["fusion"], fused.detach())
