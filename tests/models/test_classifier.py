import pytest
import torch
from torch import nn

from bogc.errors import ConfigError, DataError
from bogc.models import FUSIONS, ConcatFusion, MultimodalClassifier

SAMPLES = {"a": torch.zeros(5), "b": torch.zeros(2, 24)}


@pytest.fixture(params=FUSIONS)
def model(request: pytest.FixtureRequest) -> MultimodalClassifier:
    return MultimodalClassifier.for_samples(SAMPLES, classes=4, features=6, fusion=FUSIONS[request.param])


def inputs(samples: int = 7) -> dict[str, torch.Tensor]:
    return {name: torch.randn(samples, *sample.shape) for name, sample in SAMPLES.items()}


def test_returns_fused_unimodal_and_features(model: MultimodalClassifier):
    outputs = model(inputs())
    assert outputs.fused.shape == (7, 4)
    assert {m: z.shape for m, z in outputs.unimodal.items()} == {"a": (7, 4), "b": (7, 4)}
    assert {m: f.shape for m, f in outputs.features.items()} == {"a": (7, 6), "b": (7, 6)}


def test_partition_covers_every_parameter_once(model: MultimodalClassifier):
    partition = model.partition()
    assert sum(block.size for block in partition.blocks) == sum(p.numel() for p in model.parameters())
    owners = {
        block.name.split(".")[1]: block.modality for block in partition.blocks if "fusion" not in block.name
    }
    assert owners == {"a": "a", "b": "b"}


def test_works_without_a_modality(model: MultimodalClassifier):
    outputs = model({"b": inputs()["b"]})
    assert set(outputs.unimodal) == {"b"}
    assert torch.isfinite(outputs.fused).all()


@pytest.mark.parametrize(("given", "found"), [({}, "none"), ({"c": torch.zeros(2, 5)}, r"unknown \['c'\]")])
def test_rejects_unknown_or_no_modality(model: MultimodalClassifier, given: dict, found: str):
    with pytest.raises(DataError, match=rf"inputs must hold some of \['a', 'b'\]; found {found}"):
        model(given)


@pytest.mark.parametrize("modalities", [("a",), ("a", "c"), ("a", "b", "c")])
def test_rejects_a_head_over_other_modalities(modalities: tuple[str, ...]):
    encoders = {"a": nn.Linear(5, 6), "b": nn.Linear(3, 6)}
    with pytest.raises(ConfigError, match=r"fusion must have the modalities \['a', 'b'\]; found \['a'"):
        MultimodalClassifier(encoders, ConcatFusion(modalities, 6, 4))
