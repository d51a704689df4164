import pytest
import torch

from bogc.errors import ConfigError, RangeError
from bogc.models.generative import FitProgress, MultimodalRBM, PersistentCD, Schedule, Sparsity, pretrain
from bogc.models.generative.fit import train
from bogc.models.generative.mdrnn import MDRNN
from tests.models.generative.oracle import binary, generator

SHORT = Schedule(epochs=2, batch_size=8, rate=0.05)
PCD = PersistentCD(1, 5, Sparsity(0.1, 0.1))


def test_builds_layers_from_the_data_upwards():
    heard: list[FitProgress] = []
    network = pretrain(binary(0, 24), {"x": [5, 2]}, 6, PCD, PCD, SHORT, generator(0), heard.append)
    assert [(layer.widths["x"], layer.hidden_units) for layer in network.path("x")] == [(4, 5), (5, 2)]
    assert network.joint.widths == {"x": 2, "z": 3}
    assert network.joint.hidden_units == 6
    assert [p.stage for p in heard] == ["x 1"] * 2 + ["x 2"] * 2 + ["joint"] * 2


def test_each_layer_is_an_rbm_trained_on_the_means_below():
    data, rng = binary(1, 24), generator(3)
    network = pretrain(data, {"x": [5], "z": [2]}, 6, PCD, PCD, SHORT, generator(3))
    tops = {}
    for name, width in (("x", 5), ("z", 2)):
        layer = MultimodalRBM.for_data({name: data[name]}, width, rng)
        train(MDRNN(layer), {name: data[name]}, PCD, SHORT, rng)
        torch.testing.assert_close(layer.state_dict(), network.path(name)[0].state_dict())
        tops[name] = torch.sigmoid(layer.hidden_logits({name: data[name]})).detach()
    joint = MultimodalRBM.for_data(tops, 6, rng)
    train(MDRNN(joint), tops, PCD, SHORT, rng)
    torch.testing.assert_close(joint.state_dict(), network.joint.state_dict())


def test_refuses_unfit_layers():
    with pytest.raises(ConfigError, match=r"layers must be of \['x', 'z'\]; found \['y'\]"):
        pretrain(binary(0, 8), {"y": [3]}, 4, PCD, PCD, SHORT)
    with pytest.raises(RangeError, match="x must have at least one unit a layer; found 0"):
        pretrain(binary(0, 8), {"x": [3, 0]}, 4, PCD, PCD, SHORT)
    with pytest.raises(RangeError, match="hidden must have at least one unit a layer; found 0"):
        pretrain(binary(0, 8), {}, 0, PCD, PCD, SHORT)
