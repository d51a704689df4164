import copy

import pytest
import torch

from bogc.errors import ConfigError
from bogc.models.generative import MDRNN
from tests.models.generative.oracle import binary, deep, machine


def test_without_paths_it_is_the_machine_itself():
    rbm, inputs = machine(0), binary(0, 5)
    network = MDRNN(rbm)
    assert network.widths == rbm.widths
    assert torch.equal(network.encode(inputs["x"], "x"), inputs["x"])
    hidden = torch.rand(5, 3)
    assert torch.equal(network.decode(hidden, "z"), rbm.visible_logits(hidden, "z"))


def test_a_path_goes_up_and_down_through_every_layer():
    network, x = deep(), binary(0, 5)["x"]
    first, second = network.path("x")
    up = torch.sigmoid(x @ first.weight("x") + first.hidden_bias)
    up = torch.sigmoid(up @ second.weight("x") + second.hidden_bias)
    torch.testing.assert_close(network.encode(x, "x"), up)
    hidden = torch.rand(5, 3)
    down = torch.sigmoid(hidden @ network.joint.weight("x").T + network.joint.visible_bias("x"))
    down = torch.sigmoid(down @ second.weight("x").T + second.visible_bias("x"))
    torch.testing.assert_close(
        network.decode(hidden, "x"), down @ first.weight("x").T + first.visible_bias("x")
    )
    assert network.widths == {"x": 4, "z": 3}
    assert network.path("z") == ()


def test_holds_every_parameter_once_and_survives_a_copy():
    network = deep()
    parts = [network.joint, *network.path("x")]
    assert sum(p.numel() for p in network.parameters()) == sum(
        q.numel() for m in parts for q in m.parameters()
    )
    twin = copy.deepcopy(network)
    with torch.no_grad():
        twin.path("x")[0].hidden_bias.add_(1)
    x = binary(0, 2)["x"]
    assert not torch.equal(twin.encode(x, "x"), network.encode(x, "x"))
    twin.load_state_dict(network.state_dict())
    assert torch.equal(twin.encode(x, "x"), network.encode(x, "x"))


def test_refuses_paths_that_do_not_fit():
    joint = machine(0, {"x": 2, "z": 3})
    with pytest.raises(ConfigError, match=r"paths must be of \['x', 'z'\]; found \['y'\]"):
        MDRNN(joint, {"y": []})
    with pytest.raises(ConfigError, match=r"must hold RBMs over 'x' alone; found \[\('z',\)\]"):
        MDRNN(joint, {"x": [machine(0, {"z": 4}, 2)]})
    with pytest.raises(ConfigError, match=r"must have hidden widths \[5, 2\]; found \[4, 2\]"):
        MDRNN(joint, {"x": [machine(0, {"x": 4}, 4), machine(0, {"x": 5}, 2)]})
