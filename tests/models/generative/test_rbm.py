import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import ConfigError, RangeError
from bogc.models.generative import MultimodalRBM
from tests.models.generative.oracle import (
    WIDTHS,
    binary,
    generator,
    gradient,
    machine,
    numeric_gradient,
    split,
    states,
    weights_of_states,
)

SEEDS = st.integers(0, 10_000)


@given(SEEDS)
def test_free_energy_sums_out_the_hidden_units(seed: int):
    rbm = machine(seed)
    free = rbm.free_energy(split(states(7)))
    torch.testing.assert_close(free, -torch.tensor(weights_of_states(rbm)).log())


@given(SEEDS)
def test_free_energy_is_minus_log_sum_of_energies(seed: int):
    rbm, inputs = machine(seed), binary(seed, 5)
    hidden = torch.tensor(states(3))
    energies = torch.stack([rbm.energy(inputs, h.expand(5, 3)) for h in hidden])
    torch.testing.assert_close(rbm.free_energy(inputs), -torch.logsumexp(-energies, 0))


@given(SEEDS)
def test_log_odds_are_differences_of_energy(seed: int):
    rbm, inputs = machine(seed), binary(seed, 6)
    hidden = torch.randint(2, (6, 3), generator=generator(seed)).double()
    for j in range(3):
        off, on = hidden.clone(), hidden.clone()
        off[:, j], on[:, j] = 0, 1
        expected = rbm.energy(inputs, off) - rbm.energy(inputs, on)
        torch.testing.assert_close(rbm.hidden_logits(inputs)[:, j], expected)
    for name, width in WIDTHS.items():
        for i in range(width):
            off, on = inputs[name].clone(), inputs[name].clone()
            off[:, i], on[:, i] = 0, 1
            expected = rbm.energy(inputs | {name: off}, hidden) - rbm.energy(inputs | {name: on}, hidden)
            torch.testing.assert_close(rbm.visible_logits(hidden, name)[:, i], expected)


def test_gradient_of_the_free_energy():
    rbm, inputs = machine(3), binary(3, 1)
    found = gradient(rbm, rbm.free_energy(inputs).sum())
    numeric = numeric_gradient(rbm, lambda: rbm.free_energy(inputs).sum().item())
    torch.testing.assert_close(found, numeric, rtol=1e-6, atol=1e-8)
    hidden = torch.sigmoid(rbm.hidden_logits(inputs))  # and the closed form, 6.35
    blocks = [-hidden, -inputs["x"].T @ hidden, -inputs["z"].T @ hidden, -inputs["x"], -inputs["z"]]
    torch.testing.assert_close(found, torch.cat([block.flatten() for block in blocks]))


def test_joined_modalities_are_one_machine():
    rbm, inputs = machine(1), binary(1, 9)
    joined = MultimodalRBM({"xz": 7}, 3)
    with torch.no_grad():
        joined.weight("xz").copy_(torch.cat([rbm.weight("x"), rbm.weight("z")]))
        joined.visible_bias("xz").copy_(torch.cat([rbm.visible_bias("x"), rbm.visible_bias("z")]))
        joined.hidden_bias.copy_(rbm.hidden_bias)
    both = torch.cat([inputs["x"], inputs["z"]], 1)
    torch.testing.assert_close(rbm.free_energy(inputs), joined.free_energy({"xz": both}))
    swapped = dict(reversed(inputs.items()))
    torch.testing.assert_close(rbm.free_energy(inputs), rbm.free_energy(swapped))


def test_begins_at_the_log_odds_of_the_means():
    data = {"x": torch.tensor([[0.0, 1.0], [0.5, 1.0]]), "z": torch.zeros(2, 1)}
    rbm = MultimodalRBM.for_data(data, 50, generator(0))
    torch.testing.assert_close(torch.sigmoid(rbm.visible_bias("x")), torch.tensor([0.25, 0.99]))
    torch.testing.assert_close(torch.sigmoid(rbm.visible_bias("z")), torch.tensor([0.01]))
    assert rbm.hidden_bias.abs().sum() == 0
    assert 0.008 < rbm.weight("x").std().item() < 0.012  # 100 draws: five standard errors are 0.0035


def test_one_seed_gives_one_model_in_both_precisions():
    models = [MultimodalRBM(WIDTHS, 5, generator(4), dtype=t) for t in (torch.float32, torch.float64)]
    for single, double in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=0)


def test_precisions_agree():
    rbm, inputs = machine(2), binary(2, 8)
    expected = rbm.free_energy(inputs)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        low = rbm.to(dtype).free_energy({name: values.to(dtype) for name, values in inputs.items()})
        assert low.dtype == dtype
        np.testing.assert_allclose(low.detach().double(), expected.detach(), rtol=tolerance, atol=tolerance)


def test_refuses_what_cannot_be_built():
    with pytest.raises(ConfigError, match="widths must name at least one modality"):
        MultimodalRBM({}, 3)
    with pytest.raises(RangeError, match="x must have at least one unit; found 0"):
        MultimodalRBM({"x": 0}, 3)
    with pytest.raises(RangeError, match="hidden must have at least one unit; found 0"):
        MultimodalRBM(WIDTHS, 0)
    with pytest.raises(RangeError, match="scale must be positive"):
        MultimodalRBM(WIDTHS, 2, scale=0.0)
