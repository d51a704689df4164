from pathlib import Path

import pytest
import torch
from torch import nn

from bogc.errors import DataError
from paper_repro.audiovisual.network import build_network

from .conftest import write_imagenet

AUDIO_VISUAL = {"audio": 1, "visual": 3}


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


def test_the_network_is_two_resnets_and_a_linear_head():
    model = build_network(AUDIO_VISUAL, "concat", 6)
    heads = 2 * (512 * 6 + 6) + 1024 * 6 + 6  # two of a modality alone, and the fused one
    assert sum(p.numel() for p in model.parameters()) == 11_176_512 + 11_170_240 + heads
    biases = [module.bias for module in model.modules() if isinstance(module, nn.Linear)]
    assert all(bool((bias == 0).all()) for bias in biases)


def test_linear_layers_may_start_as_torch_starts_them():
    model = build_network(AUDIO_VISUAL, "concat", 6, start="torch")
    weight, bias = (p.detach() for p in model.fusion.linear.parameters())
    assert float(weight.abs().max()) <= 1 / 32  # uniform within 1 / sqrt(1024)
    assert bool((bias != 0).any())


def test_every_encoder_starts_from_the_weights_that_fit_it(tmp_path: Path):
    own = write_imagenet(tmp_path / "resnet18.pth")
    model = build_network({"visual": 3, "flow": 2}, "concat", 4, weights=tmp_path / "resnet18.pth")
    for modality, encoder in model.encoders.items():
        for name, value in encoder.state_dict().items():
            drawn = modality == "flow" and name == "stem.0.weight"
            assert (value.shape != own[name].shape) if drawn else torch.equal(value, own[name]), name


def test_missing_weights_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"resnet18\.pth must be a file of torchvision's weights"):
        build_network(AUDIO_VISUAL, "concat", 4, weights=tmp_path / "resnet18.pth")
