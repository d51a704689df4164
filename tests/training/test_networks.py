import pytest
import torch

from bogc.balancing.methods import EXPERTS, METHODS
from bogc.models import FUSIONS, MultimodalClassifier, ProductOfExperts
from bogc.training import TrainConfig
from bogc.training.networks import Network, build_network
from tests import tiny


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
