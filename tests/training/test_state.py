import io

import pytest
import torch

from bogc.balancing.settings import METHODS
from bogc.training import TrainConfig, train_step
from bogc.training.state import Best, TrainingState
from tests import tiny

CONFIG = TrainConfig(epochs=2, features=8)


@pytest.mark.parametrize("method", METHODS)
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
