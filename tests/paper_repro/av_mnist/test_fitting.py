from pathlib import Path

import pytest
import torch

from bogc.data import MultimodalDataset
from paper_repro.av_mnist import fitting
from paper_repro.av_mnist.config import AvMnistConfig
from paper_repro.av_mnist.fitting import EXPERTS, I2M2, Parts, Stage, accuracy, fit, part_of, train
from paper_repro.av_mnist.run import parts
from paper_repro.networks.lenet import av_mnist_experts

TINY = AvMnistConfig(train=12, epochs=2, batch_size=6, unimodal_channels=1, joint_channels=1)


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def made(digits: Path) -> Parts:
    return parts(digits, TINY)


def test_all_stages_are_tested_and_a_seed_repeats_its_run(made: Parts):
    first, again = (fit(made, TINY, seed=1) for _ in range(2))
    assert first == again
    assert set(first) == {*EXPERTS, I2M2}
    assert all(0 <= value <= 100 for value in first.values())


@pytest.mark.parametrize("name", EXPERTS)
def test_an_expert_trains_by_itself(made: Parts, name: str):
    torch.manual_seed(0)
    model = av_mnist_experts(1, 1)
    module, predict = part_of(model, name)
    own = {id(p) for p in module.parameters()}
    before = {key: value.clone() for key, value in model.state_dict().items()}
    batch = made.train.take(torch.arange(4))
    assert predict(batch).shape == (4, 10)
    model.load_state_dict(before)  # statistics of BatchNorm
    train(module, predict, made, AvMnistConfig(epochs=1, batch_size=6), Stage(0.1), seed=0)
    named = dict(model.named_parameters())
    changed = {key for key, value in named.items() if not torch.equal(value, before[key])}
    assert changed
    assert all(id(named[key]) in own for key in changed)


def test_the_product_trains_all_experts(made: Parts):
    torch.manual_seed(0)
    model = av_mnist_experts(1, 1)
    module, predict = part_of(model, I2M2)
    assert module is model
    batch = made.train.take(torch.arange(4))
    torch.testing.assert_close(predict(batch).exp().sum(1), torch.ones(4))


def watched(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> list[torch.Tensor]:
    """Pretend these validation accuracies, and keep a weight as it was at each."""
    seen: list[torch.Tensor] = []

    def pretend(module, predict, data, batch_size) -> float:
        seen.append(next(module.parameters()).detach().clone())
        return values[len(seen) - 1]

    monkeypatch.setattr(fitting, "accuracy", pretend)
    return seen


def test_the_first_best_epoch_is_kept_and_patience_ends_a_stage(made: Parts, monkeypatch: pytest.MonkeyPatch):
    seen = watched(monkeypatch, [10.0, 30.0, 30.0, 20.0, 50.0, 60.0])
    torch.manual_seed(0)
    module, predict = part_of(av_mnist_experts(1, 1), "image")
    config = AvMnistConfig(epochs=6, batch_size=6)
    train(module, predict, made, config, Stage(0.1, patience=1), seed=0)
    assert len(seen) == 4  # 30, then two epochs that are not better
    torch.testing.assert_close(next(module.parameters()), seen[1], rtol=0, atol=0)


def test_without_patience_all_epochs_run(made: Parts, monkeypatch: pytest.MonkeyPatch):
    seen = watched(monkeypatch, [30.0, 20.0, 10.0, 0.0])
    module, predict = part_of(av_mnist_experts(1, 1), "image")
    train(module, predict, made, AvMnistConfig(epochs=4, batch_size=6), Stage(0.1), seed=0)
    assert len(seen) == 4
    torch.testing.assert_close(next(module.parameters()), seen[0], rtol=0, atol=0)


def test_an_expert_learns_what_can_be_seen():
    torch.manual_seed(0)
    targets = torch.arange(40) % 2
    pictures = torch.rand(40, 1, 28, 28) * 0.1
    pictures[targets == 1, :, :14] += 0.9
    data = MultimodalDataset.from_tensors({"image": pictures}, targets)
    module, predict = part_of(av_mnist_experts(2, 2), "image")
    same = Parts(data, data, data)
    train(module, predict, same, AvMnistConfig(epochs=5, batch_size=8), Stage(0.05), seed=0)
    assert accuracy(module, predict, data, 16) > 90
