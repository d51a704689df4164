import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bogc.errors import (
    ConfigError,
    DataError,
    DtypeError,
    NonFiniteError,
    RangeError,
    ShapeError,
    TypeMismatchError,
)
from bogc.models.generative import MultimodalRBM
from bogc.models.generative.rbm import (
    bernoulli,
    check_complete,
    check_inputs,
    draw_visible,
    gibbs_step,
    widths_of,
)
from tests.models.generative.oracle import (
    WIDTHS,
    binary,
    conditional,
    generator,
    gradient,
    join,
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


CHAINS = 6000
FAILURE = 1e-6  # chance that a correct sampler fails one of these tests, were its seed drawn anew


def agreement(drawn: np.ndarray, every: np.ndarray, probability: np.ndarray) -> float:
    """p-value of the chi-squared test; states too rare for it are pooled."""
    counts = np.array([(drawn == state).all(1).sum() for state in every])
    order = np.argsort(probability)
    rare = order[np.cumsum(probability[order]) * len(drawn) < 10]
    keep = np.setdiff1d(order, rare)
    observed = np.append(counts[keep], counts[rare].sum())
    expected = np.append(probability[keep], probability[rare].sum()) * len(drawn)
    full = expected > 0
    return float(stats.chisquare(observed[full], expected[full]).pvalue)


@pytest.mark.parametrize("missing", ["x", "z"])
def test_a_chain_with_the_rest_held_reaches_the_exact_conditional(missing: str):
    rbm, row = machine(5), binary(5, 1)
    rng = generator(0)
    held = {name: values.expand(CHAINS, -1) for name, values in row.items() if name != missing}
    state = {missing: torch.zeros(CHAINS, rbm.widths[missing])}
    fixed = rbm.hidden_logits(held)
    for _ in range(50):
        state = gibbs_step(rbm, fixed, state, rng)
    drawn = join({name: held.get(name, state.get(name)) for name in rbm.names})
    assert agreement(drawn, *conditional(rbm, join(row)[0], missing)) > FAILURE


def test_a_chain_over_everything_reaches_the_exact_joint_law():
    rbm, rng = machine(6), generator(1)
    state = {name: torch.zeros(CHAINS, width) for name, width in rbm.widths.items()}
    for _ in range(100):
        state = gibbs_step(rbm, rbm.hidden_bias[None], state, rng)
    weights = weights_of_states(rbm)
    assert agreement(join(state), states(7), weights / weights.sum()) > FAILURE


def test_the_comparison_notices_a_wrong_law():
    rbm, row = machine(5), binary(5, 1)
    every, probability = conditional(rbm, join(row)[0], "x")
    wrong = np.random.default_rng(0).choice(len(every), CHAINS, p=0.9 * probability + 0.1 / len(every))
    assert agreement(every[wrong], every, probability) < FAILURE


def test_draws_visible_units_from_their_probability():
    rbm = machine(2)
    hidden = torch.tensor([[1.0, 0.0, 1.0]]).expand(CHAINS, -1)
    drawn = draw_visible(rbm, hidden, ("z",), generator(3))
    assert list(drawn) == ["z"]
    p = torch.sigmoid(rbm.visible_logits(hidden[:1], "z"))[0].detach()
    deviation = (drawn["z"].mean(0) - p) / (p * (1 - p) / CHAINS).sqrt()
    assert deviation.abs().max() < 5.1  # three normal deviates: exceeded with a chance of 1e-6


def test_certain_units_are_drawn_as_such(device: torch.device):
    certain = torch.tensor([[0.0, 1.0]], device=device).expand(1000, -1)
    assert torch.equal(bernoulli(certain, generator(0, device)), certain)


def test_every_precision_takes_the_same_decisions():
    p = torch.linspace(0.0, 1.0, 101)
    draws = {t: bernoulli(p.to(t), generator(9)) for t in (torch.float32, torch.float64)}
    assert draws[torch.float32].dtype == torch.float32
    assert torch.equal(draws[torch.float32].double(), draws[torch.float64])


UNITS = {"x": 2, "z": 3}
GOOD = {"x": torch.full((4, 2), 0.5), "z": torch.ones(4, 3)}  # made before the tests turn to float64


def test_accepts_any_modalities_at_hand_and_the_ends_of_the_range():
    check_complete(GOOD, UNITS)
    check_inputs({"z": torch.zeros(1, 3)}, UNITS)


@pytest.mark.parametrize(
    ("change", "error", "found"),
    [
        ({"y": torch.ones(4, 2)}, DataError, r"some of \['x', 'z'\]; found unknown \['y'\]"),
        ({"x": torch.ones(4, 3)}, ShapeError, r"inputs\['x'\] must be \[N, 2\]; found \[4, 3\]"),
        ({"x": torch.ones(4)}, ShapeError, r"must be \[N, 2\]; found \[4\]"),
        ({"x": torch.ones(0, 2)}, DataError, "at least one row"),
        ({"x": torch.ones(3, 2)}, ShapeError, r"one number of rows; found \{'x': 3, 'z': 4\}"),
        ({"x": torch.ones(4, 2, dtype=torch.int64)}, DtypeError, "must be floating point"),
        ({"x": torch.ones(4, 2, dtype=torch.float64)}, DtypeError, "must have one dtype"),
        (
            {"x": torch.full((4, 2), torch.nan)},
            NonFiniteError,
            r"must be finite; found nan at index \[0, 0\]",
        ),
        ({"x": torch.full((4, 2), 1.01)}, RangeError, r"must lie in \[0, 1\]; found 1.01"),
        ({"x": torch.full((4, 2), -0.01)}, RangeError, r"must lie in \[0, 1\]; found -0.01"),
    ],
)
def test_refuses(change: dict, error: type[Exception], found: str):
    with pytest.raises(error, match=found):
        check_inputs(GOOD | change, UNITS)


def test_refuses_nothing_at_all_and_what_is_no_tensor():
    with pytest.raises(DataError, match=r"some of \['x', 'z'\]; found none"):
        check_inputs({}, UNITS)


def test_complete_needs_every_modality():
    with pytest.raises(DataError, match=r"all of \['x', 'z'\]; found no \['z'\]"):
        check_complete({"x": GOOD["x"]}, UNITS)


def test_refuses_another_type():
    check = getattr(check_inputs, "__wrapped__", check_inputs)  # past the run-time checker of the tests
    with pytest.raises(TypeMismatchError, match="inputs must be of type Mapping; found Tensor"):
        check(torch.ones(4, 2), UNITS)


def test_widths_are_lengths_of_the_last_axis():
    assert widths_of({**GOOD, "number": torch.tensor(1.0)}) == {"x": 2, "z": 3, "number": 0}
