import dataclasses

import pytest
import torch
from torch import nn

from bogc.errors import ConfigError, DataError, ShapeError
from bogc.models import (
    FUSIONS,
    ConcatFusion,
    ModalOutputs,
    MultimodalClassifier,
    ProductOfExperts,
    encoder_for,
)
from bogc.models.classifier import check_inputs
from bogc.models.fusion import by_modality

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


@pytest.mark.parametrize("shape", [(5,), (3, 40), (3, 16, 16)], ids=["vector", "series", "image"])
def test_encodes_samples_of_each_rank(shape: tuple[int, ...]):
    encoder = encoder_for(torch.zeros(shape), features=12)
    assert encoder(torch.randn(4, *shape)).shape == (4, 12)


def test_rejects_other_ranks():
    with pytest.raises(ShapeError, match=r"sample must have 1, 2 or 3 axes; found \[1, 2, 3, 4\]"):
        encoder_for(torch.zeros(1, 2, 3, 4), features=8)


def test_is_frozen():
    outputs = ModalOutputs(torch.zeros(1, 2), {}, {})
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'fused'"):
        outputs.fused = torch.ones(1, 2)


FORBIDDEN = ["a.b", "", "type", "keys"]


def test_modules_keep_names_and_order():
    modules = {"sound": nn.Linear(2, 3), "image 1": nn.Linear(4, 3)}
    assert list(by_modality(modules).items()) == list(modules.items())


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_name_that_torch_cannot_register_is_refused(name: str):
    rule = r"modalities must have names that torch.nn.ModuleDict accepts; found .*Rename the modality"
    with pytest.raises(ConfigError, match=rule):
        by_modality({"b": nn.Linear(1, 1), name: nn.Linear(1, 1)})


@pytest.mark.parametrize("network", [MultimodalClassifier, ProductOfExperts])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_network_refuses_it(network: type, fusion: str):
    samples = {"a.b": torch.zeros(3), "c": torch.zeros(4)}
    with pytest.raises(ConfigError, match=r"must have names that torch.nn.ModuleDict accepts"):
        network.for_samples(samples, 3, 4, FUSIONS[fusion])


def test_some_known_modalities_are_needed():
    check_inputs({"b": 1}, ["a", "b"])
    check_inputs({"b": 1, "a": 2}, ["a", "b"])
    for given, found in [({}, "none"), ({"a": 1, "d": 1, "c": 1}, r"unknown \['c', 'd'\]")]:
        with pytest.raises(DataError, match=rf"inputs must hold some of \['a', 'b'\]; found {found}"):
            check_inputs(given, ["a", "b"])
