import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import BogcError, ConfigError, DataError, DtypeError, NonFiniteError, RangeError
from bogc.models.generative import MDRNN, fill, variational_free_energy
from bogc.models.generative.mdrnn import Kept, infer_hidden, predict, start_hidden, unroll
from tests.models.generative.oracle import binary, deep, join, machine, split, states, weights_of_states


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


SEEDS = st.integers(0, 10_000)
THREE = {"x": 2, "y": 2, "z": 3}


@given(SEEDS)
def test_every_half_round_lowers_the_variational_free_energy(seed: int):
    rbm, x = machine(seed, scale=2.0), {"x": torch.rand(6, 4)}
    network, held = MDRNN(rbm), rbm.hidden_logits(x)
    hidden, means = torch.rand(6, 3), {"z": torch.rand(6, 3)}
    values = [variational_free_energy(rbm, x, means, hidden)]
    for _ in range(4):
        old, hidden = hidden, infer_hidden(network, held, means)
        values.append(variational_free_energy(rbm, x, means, hidden))
        kl = old * (old / hidden).log() + (1 - old) * ((1 - old) / (1 - hidden)).log()
        torch.testing.assert_close(values[-2] - values[-1], kl.sum(1))  # 6.42
        means = predict(network, hidden, ("z",))
        values.append(variational_free_energy(rbm, x, means, hidden))
    assert (torch.stack(values).diff(dim=0) <= 1e-10).all()


@given(SEEDS)
def test_bounds_the_free_energy_of_what_is_observed(seed: int):
    rbm, x = machine(seed), binary(seed, 1)["x"]
    visible = states(7)
    agrees = (visible[:, :4] == x.numpy()).all(1)
    exact = -np.log(weights_of_states(rbm)[agrees].sum())
    bound = variational_free_energy(rbm, {"x": x}, {"z": torch.rand(1, 3)}, torch.rand(1, 3))
    assert bound.item() >= exact - 1e-10


@given(SEEDS)
def test_filling_ends_at_a_fixed_point_and_says_so(seed: int):
    network, inputs = MDRNN(machine(seed, THREE)), {"y": torch.rand(5, 2)}
    filled = fill(network, inputs, tolerance=1e-10, most_rounds=2000)
    assert filled.converged.all()
    means = predict(network, filled.hidden, ("x", "z"))
    again = infer_hidden(network, network.joint.hidden_logits(inputs), means)
    torch.testing.assert_close(again, filled.hidden, rtol=0, atol=1e-8)
    torch.testing.assert_close(means, filled.missing)
    assert list(filled.missing) == ["x", "z"]


def test_a_sample_does_not_depend_on_its_batch():
    network, x = deep(scale=3.0), torch.rand(40, 4)
    together = fill(network, {"x": x})
    for i in range(0, 40, 7):
        alone = fill(network, {"x": x[i : i + 1]})
        torch.testing.assert_close(alone.hidden[0], together.hidden[i], rtol=0, atol=1e-12)
    assert together.rounds == max(fill(network, {"x": x[i : i + 1]}).rounds for i in range(40))


def test_too_few_rounds_are_reported():
    filled = fill(MDRNN(machine(0)), {"x": torch.rand(3, 4)}, tolerance=1e-12, most_rounds=1)
    assert filled.rounds == 1
    assert not filled.converged.any()


def test_with_nothing_missing_the_hidden_units_are_exact():
    rbm, inputs = machine(1), binary(1, 5)
    filled = fill(MDRNN(rbm), inputs)
    torch.testing.assert_close(filled.hidden, torch.sigmoid(rbm.hidden_logits(inputs)).detach())
    assert (filled.missing, filled.rounds, filled.converged.all().item()) == ({}, 0, True)


def test_start_counts_the_observed_half_twice():
    rbm, x = machine(2), torch.rand(5, 4)
    start = start_hidden(MDRNN(rbm), {"x": x})
    torch.testing.assert_close(start, torch.sigmoid(rbm.hidden_bias + 2 * x @ rbm.weight("x")))
    three = machine(2, THREE)
    start = start_hidden(MDRNN(three), {"x": x[:, :2], "y": x[:, 2:]})
    expected = three.hidden_bias + 1.5 * (x[:, :2] @ three.weight("x") + x[:, 2:] @ three.weight("y"))
    torch.testing.assert_close(start, torch.sigmoid(expected))


@pytest.mark.parametrize("make", [lambda: MDRNN(machine(3)), deep], ids=["shallow", "deep"])
def test_unrolled_it_is_the_recursion_with_kept_units_put_back(make: Callable[[], MDRNN]):
    network = make()
    data = {"x": torch.rand(5, 4), "z": torch.rand(5, 3)}
    mask = torch.randint(2, (5, 4)).double()
    kept = Kept({"x": data["x"] * mask}, {"x": mask}, 0.25)
    hidden, logits = unroll(network, {"z": data["z"]}, 3, kept)

    z, rbm = data["z"] @ network.joint.weight("z"), network.joint
    weight = 0.25 if network.path("x") else 1.0
    begun = weight * network.encode(data["x"] * mask, "x") @ rbm.weight("x")
    expected = torch.sigmoid(1.75 * z + begun + rbm.hidden_bias)
    for _ in range(3):
        x = torch.sigmoid(network.decode(expected, "x"))
        x = torch.where(mask.bool(), data["x"], x)
        expected = torch.sigmoid(z + network.encode(x, "x") @ rbm.weight("x") + rbm.hidden_bias)
    torch.testing.assert_close(hidden, expected)
    torch.testing.assert_close(logits, {"x": network.decode(expected, "x")})


def test_precisions_agree(device: torch.device):
    network = deep().to(device)
    x = torch.rand(20, 4, device=device)
    double = fill(network, {"x": x}, most_rounds=20, tolerance=0)
    single = fill(network.float(), {"x": x.float()}, most_rounds=20, tolerance=0)
    assert single.hidden.dtype == torch.float32
    torch.testing.assert_close(single.hidden.double(), double.hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(single.missing["z"].double(), double.missing["z"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "error", "found"),
    [
        ({}, DataError, r"inputs must hold some of \['x', 'z'\]; found none"),
        ({"y": torch.ones(1, 4)}, DataError, r"unknown \['y'\]"),
        ({"x": torch.full((1, 4), 2.0)}, RangeError, r"must lie in \[0, 1\]; found 2"),
        ({"x": torch.full((1, 4), torch.nan)}, NonFiniteError, "must be finite; found nan"),
        ({"x": torch.ones(1, 4, dtype=torch.float32)}, DtypeError, "inputs and model must have one dtype"),
    ],
)
def test_refuses_what_cannot_be_filled(inputs: dict, error: type[BogcError], found: str):
    with pytest.raises(error, match=found):
        fill(MDRNN(machine(0)), inputs)


@pytest.mark.parametrize("setting", ["tolerance", "most_rounds"])
def test_refuses_negative_settings(setting: str):
    with pytest.raises(RangeError, match=f"{setting} must not be negative; found -1"):
        fill(MDRNN(machine(0)), {"x": torch.ones(1, 4)}, **{setting: -1})


def test_the_free_energy_of_full_knowledge_is_the_energy():
    rbm, hidden = machine(4), torch.tensor(states(3))
    inputs = split(states(7)[:8])
    torch.testing.assert_close(variational_free_energy(rbm, inputs, {}, hidden), rbm.energy(inputs, hidden))
    assert join(inputs).shape == (8, 7)
