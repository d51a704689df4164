import io

import pytest
import torch

from bogc.balancing.methods import METHODS
from bogc.errors import ConfigError
from bogc.training import TrainConfig, train_step
from bogc.training.state import Best, TrainingState
from tests import tiny

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
