import pytest
import torch
from torch.nn import functional

from bogc.gradients import FUSION
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.methods import (
    JOINT,
    METHODS,
    OGM_GE,
    fused_only,
    with_heads,
    with_slices,
)
from paper_repro.audiovisual.network import build_network

CONFIG = AudioVisualConfig(epochs=30, first_modulated=10, modulated_epochs=5)


@pytest.fixture
def model(small_encoders: None):
    torch.manual_seed(0)
    return build_network({"audio": 1, "visual": 3}, "concat", 4)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    shapes = {"audio": (3, 1, 32, 32), "visual": (3, 3, 2, 32, 32)}
    return {m: torch.randn(shape, generator=generator) for m, shape in shapes.items()}


def test_the_losses_are_those_of_fused_heads_and_slices(model, inputs):
    targets = torch.tensor([0, 3, 1])
    outputs = model(inputs)
    assert list(fused_only(model, outputs, targets)) == [FUSION]
    own = with_heads(model, outputs, targets)
    assert set(own) == {FUSION, "audio", "visual"}
    expected = functional.cross_entropy(outputs.unimodal["audio"], targets)
    torch.testing.assert_close(own["audio"].mean(), expected)
    sliced = with_slices(model, outputs, targets)
    weight, bias = model.fusion.linear.weight, model.fusion.linear.bias
    logits = outputs.features["visual"] @ weight[:, 512:].T + bias / 2
    torch.testing.assert_close(sliced["visual"].mean(), functional.cross_entropy(logits, targets))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_step_and_moves_both_encoders(name: str, model, inputs):
    method = METHODS[name]
    targets = torch.tensor([0, 3, 1])
    outputs = model(inputs)
    balancer = method.build(model, CONFIG)
    balancer.backward(method.losses(model, outputs, targets), outputs, targets)
    for encoder in model.encoders.values():
        assert all(p.grad is not None and bool(p.grad.any()) for p in encoder.parameters() if p.ndim == 4)
    assert bool(model.fusion.linear.weight.grad.any())


def test_only_ogm_ge_is_confined_to_some_epochs():
    for name, method in METHODS.items():
        expected = range(10, 15) if name == OGM_GE else range(30)
        assert method.epochs(CONFIG) == expected
    assert JOINT in METHODS
