import pytest
import torch
from torch import nn

from bogc.errors import ConfigError, DataError
from bogc.models import FUSIONS, MultimodalClassifier, ProductOfExperts
from bogc.models.modalities import by_modality, check_inputs

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
