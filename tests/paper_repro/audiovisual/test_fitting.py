from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bogc.gradients import FUSION
from bogc.methods.ogm_ge import ReleasedOGMGE
from bogc.models import MultimodalClassifier
from paper_repro.audiovisual import fitting
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.fitting import Epoch, Parts, accuracy, fit
from paper_repro.audiovisual.methods import JOINT, MIMO, OGM_GE
from paper_repro.audiovisual.network import build_network
from paper_repro.readers.crema_d import read_crema_d

CHANNELS = {"audio": 1, "visual": 3}
TINY = AudioVisualConfig(epochs=2, batch_size=6, decay_epochs=1, modulated_epochs=1, side=32)


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def parts(crema_d: Path) -> Parts:
    train, test = (read_crema_d(crema_d, part, side=32) for part in ("train", "test"))
    return Parts(CHANNELS, train, None, test)


@pytest.mark.usefixtures("small_encoders")
def test_every_epoch_is_scored_and_a_seed_repeats_its_run(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    shown: list[float] = []

    def watched(model: MultimodalClassifier, clips, batch_size: int) -> float:
        shown.append(float(model.fusion.linear.weight.detach().double().sum()))
        return accuracy(model, clips, batch_size)

    monkeypatch.setattr(fitting, "accuracy", watched)
    first, again = (fit(parts, TINY, JOINT, "concat", seed=1) for _ in range(2))
    assert first == again
    assert len(first) == 2
    assert all(epoch.validation == epoch.test for epoch in first)
    assert shown[:2] == shown[2:]


@pytest.mark.usefixtures("small_encoders")
def test_ogm_ge_slows_only_the_first_epochs(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    steps: list[int] = []
    original = ReleasedOGMGE.modulated

    def counted(self, seen, *others):
        steps.append(len(seen.losses[FUSION]))
        return original(self, seen, *others)

    monkeypatch.setattr(ReleasedOGMGE, "modulated", counted)
    fit(parts, TINY, OGM_GE, "sum", seed=0)
    assert steps == [6, 6]  # one epoch of two
    steps.clear()
    fit(parts, replace(TINY, epochs=3, first_modulated=2), OGM_GE, "concat", seed=0)
    assert steps == [6, 6]  # the last of three


@pytest.mark.usefixtures("small_encoders")
def test_validation_clips_are_scored_apart(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    sizes = {6: 50.0, 4: 25.0}
    monkeypatch.setattr(fitting, "accuracy", lambda model, clips, batch_size: sizes[len(clips)])
    apart = Parts(CHANNELS, parts.train.subset(range(8)), parts.train.subset(range(8, 12)), parts.test)
    config = AudioVisualConfig(epochs=1, batch_size=8, side=32)
    assert fit(apart, config, JOINT, "sum", seed=0) == [Epoch(validation=25.0, test=50.0)]


@pytest.mark.usefixtures("small_encoders")
def test_the_rate_steps_down_as_released(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    rates: list[float] = []
    original = torch.optim.SGD.step

    def watched(self, closure=None):
        rates.append(self.param_groups[0]["lr"])
        return original(self, closure)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    fit(parts, TINY, JOINT, "sum", seed=0)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])


@pytest.mark.usefixtures("small_encoders")
def test_accuracy_counts_in_evaluation_mode(parts: Parts):
    model = build_network(CHANNELS, "concat", 6)
    nn.init.zeros_(model.fusion.linear.weight)
    model.fusion.linear.bias.data = torch.eye(6)[2]  # always says class 2
    assert accuracy(model, parts.test, 4) == pytest.approx(100 / 6)
    assert model.training


def test_a_step_of_the_real_network_moves_all_but_the_unimodal_heads(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
):
    models: list[MultimodalClassifier] = []

    def kept(model: MultimodalClassifier, clips, batch_size: int) -> float:
        models.append(model)
        return 0.0

    monkeypatch.setattr(fitting, "accuracy", kept)
    few = Parts(CHANNELS, parts.train.subset(range(3)), None, parts.test)
    fit(few, AudioVisualConfig(epochs=1, batch_size=3, side=32), OGM_GE, "concat", seed=0)
    torch.manual_seed(0)
    start = dict(build_network(CHANNELS, "concat", 6).named_parameters())
    for name, parameter in models[0].named_parameters():
        assert torch.equal(parameter, start[name]) == name.startswith("heads"), name


def test_scoring_leaves_the_statistics_of_batch_norm(parts: Parts):
    model = build_network(CHANNELS, "concat", 6)
    before = {name: value.clone() for name, value in model.named_buffers()}
    accuracy(model, parts.test.subset(range(2)), 2)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


@pytest.mark.usefixtures("small_encoders")
@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_the_optimiser_is_the_one_that_is_named(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[torch.optim.Optimizer]
):
    seen: list[dict] = []
    original = kind.step

    def watched(self, closure=None):
        seen.append(self.param_groups[0])
        return original(self, closure)

    monkeypatch.setattr(kind, "step", watched)
    fit(parts, replace(TINY, epochs=1, optimiser=name, weight_decay=0.25), MIMO, "concat", seed=0)
    assert len(seen) == 2
    assert all(group["weight_decay"] == 0.25 for group in seen)


@pytest.mark.usefixtures("small_encoders")
def test_adamw_decays_weights_apart_from_the_gradient(parts: Parts, monkeypatch: pytest.MonkeyPatch):
    rates: list[tuple[float, float]] = []
    original = torch.optim.AdamW.step

    def watched(self, closure=None):
        group = self.param_groups[0]
        rates.append((group["lr"], group["weight_decay"]))
        return original(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    fit(parts, replace(TINY, epochs=3, optimiser="adamw"), JOINT, "concat", seed=0)
    assert [rate for rate, _ in rates] == pytest.approx([1e-3] * 2 + [1e-4] * 2 + [1e-5] * 2)
    assert {decay for _, decay in rates} == {1e-4}
