from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import ConfigError, RangeError
from bogc.models.generative import (
    MDRNN,
    MultiPrediction,
    Objective,
    PerceptronCD,
    PersistentCD,
    Schedule,
    Sparsity,
    fill,
    train,
)
from bogc.models.generative.mdrnn import unroll
from bogc.models.generative.objectives import (
    advance_chains,
    likelihood_loss,
    lowest_sample,
    perceptron_loss,
    prediction_loss,
    start_chains,
)
from bogc.models.generative.rbm import bernoulli, draw_visible, gibbs_step
from tests.models.generative.oracle import (
    binary,
    conditional,
    deep,
    generator,
    gradient,
    join,
    machine,
    min_vi,
    nll,
    numeric_gradient,
    split,
    states,
    weights_of_states,
)

OBJECTIVES = [PersistentCD(2, 5), PerceptronCD(2), MultiPrediction(2)]
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)


@each
def test_a_step_repeats_with_its_generator_and_changes_nothing(objective: Objective):
    network, batch = deep(), binary(0, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    memory = objective.start(network, generator(1))
    chains = {name: value.clone() for name, value in memory.chains.items()}
    first, second = (objective.step(network, batch, memory, generator(2)) for _ in range(2))
    assert torch.equal(first.loss, second.loss)
    assert not first.objective.requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    torch.testing.assert_close(dict(memory.chains), chains, rtol=0, atol=0)


@each
def test_every_trained_parameter_has_a_gradient(objective: Objective):
    network, batch = deep(), binary(0, 64)
    step = objective.step(network, batch, objective.start(network, generator(1)), generator(2))
    gradients = torch.autograd.grad(step.loss, list(objective.parameters(network)))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert not step.memory.activity.requires_grad


@each
def test_precisions_agree(objective: Objective, device: torch.device):
    losses = []
    for dtype in (torch.float64, torch.float32):
        network = deep(4).to(device, dtype)
        batch = {name: values.to(device, dtype) for name, values in binary(4, 32).items()}
        memory = objective.start(network, generator(1, device))
        losses.append(objective.step(network, batch, memory, generator(2, device)).loss)
    assert [loss.dtype for loss in losses] == [torch.float64, torch.float32]
    torch.testing.assert_close(losses[0], losses[1].double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES[1:], ids=lambda o: type(o).__name__)
def test_prediction_needs_two_modalities(objective: Objective):
    with pytest.raises(ConfigError, match=r"network must have two modalities or more; found \['x'\]"):
        objective.start(MDRNN(machine(0, {"x": 3})), None)


def test_running_mean_forgets_by_its_damping():
    hidden = torch.tensor([[0.0, 1.0], [0.5, 1.0]], requires_grad=True)
    running = Sparsity(1.0, 0.1, 0.75).running(torch.tensor([0.4, 0.4]), hidden)
    torch.testing.assert_close(running, torch.tensor([0.3625, 0.55]))
    assert not running.requires_grad


def test_bias_penalty_moves_biases_towards_the_target():
    bias = torch.zeros(3, requires_grad=True)
    penalty = Sparsity(0.3, 0.2).bias_penalty(torch.tensor([0.1, 0.2, 0.6]), bias)
    (slope,) = torch.autograd.grad(penalty, bias)
    torch.testing.assert_close(slope, torch.tensor([-0.03, 0.0, 0.12]))


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_cross_entropy_is_least_at_the_target(target: float, other: float):
    sparsity = Sparsity(0.7, target)
    at, away = (float(sparsity.cross_entropy(torch.full((4, 1), p))) for p in (target, other))
    assert at <= away + 1e-12


def test_cross_entropy_has_the_stated_slope():
    hidden = torch.rand(5, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(Sparsity(2.0, 0.1).cross_entropy(hidden), hidden)
    mean = hidden.mean(0)
    expected = (-2 * (0.1 / mean - 0.9 / (1 - mean)) / 5).expand(5, 2)
    torch.testing.assert_close(slope, expected)


def test_dead_and_saturated_units_stay_finite():
    hidden = torch.tensor([[0.0, 1.0]], requires_grad=True)
    loss = Sparsity(1.0, 0.1).cross_entropy(hidden)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, hidden)[0]).all()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((-0.1, 0.1), "weight must not be negative; found -0.1"),
        ((0.1, 0.0), r"target must lie in \(0, 1\); found 0.0"),
        ((0.1, 0.1, 1.0), r"damping must lie in \[0, 1\); found 1.0"),
    ],
)
def test_sparsity_refuses(arguments: tuple[float, ...], found: str):
    with pytest.raises(RangeError, match=found):
        Sparsity(*arguments)


def test_expected_gradient_is_that_of_the_exact_likelihood():
    rbm, batch = machine(1), binary(1, 5)
    weights = weights_of_states(rbm)
    expected = torch.zeros(sum(p.numel() for p in rbm.parameters()))
    for state, p in zip(states(7), weights / weights.sum(), strict=True):
        expected += p * gradient(rbm, likelihood_loss(rbm, batch, split(state[None])))
    exact = numeric_gradient(rbm, lambda: nll(rbm, batch))
    torch.testing.assert_close(expected, exact, rtol=1e-6, atol=1e-8)


def test_chains_are_independent_of_each_other_and_of_the_data():
    rbm = machine(2)
    chains = start_chains(rbm, 4000, generator(0))
    mean = torch.cat([chains["x"], chains["z"]], 1).mean(0)
    p = torch.sigmoid(torch.cat([rbm.visible_bias("x"), rbm.visible_bias("z")])).detach()
    deviation = (mean - p) / (p * (1 - p) / 4000).sqrt()
    assert deviation.abs().max() < 5.3  # seven normal deviates: exceeded with a chance of 1e-6
    moved = advance_chains(rbm, chains, 3, generator(1))
    alone = advance_chains(rbm, chains, 0, generator(1))
    torch.testing.assert_close(alone, chains)
    assert not torch.equal(moved["x"], chains["x"])


def test_a_step_moves_the_chains_and_the_running_activity():
    network, objective = MDRNN(machine(3)), PersistentCD(2, 50, Sparsity(0.5, 0.1, 0.8))
    batch = binary(3, 20)  # 0 and 1 are drawn as they stand
    memory = objective.start(network, generator(0))
    assert memory.activity.abs().sum() == 0
    step = objective.step(network, batch, memory, generator(1))
    activity = 0.2 * torch.sigmoid(network.joint.hidden_logits(batch)).mean(0).detach()
    torch.testing.assert_close(step.memory.activity, activity)
    torch.testing.assert_close(
        step.objective, likelihood_loss(network.joint, batch, step.memory.chains).detach()
    )
    penalty = 0.5 * ((activity - 0.1) * network.joint.hidden_bias).sum()
    torch.testing.assert_close(step.loss, step.objective + penalty)


def test_trains_the_joint_layer_on_the_tops_of_paths():
    network, objective = deep(2), PersistentCD(1, 10, Sparsity(0.0, 0.5))
    step = objective.step(network, binary(0, 8), objective.start(network, generator(0)), generator(1))
    assert {name: tuple(v.shape) for name, v in step.memory.chains.items()} == {"x": (10, 2), "z": (10, 3)}
    assert {id(p) for p in objective.parameters(network)} == {id(p) for p in network.joint.parameters()}


def test_training_lowers_the_exact_negative_log_likelihood():
    x = torch.tensor(states(3))
    data = {"x": x.repeat(16, 1), "z": (1 - x).repeat(16, 1)}  # 8 equally likely states of 64
    network = MDRNN(machine(0, {"x": 3, "z": 3}, 8, scale=0.1))
    before = nll(network.joint, data)
    schedule = Schedule(epochs=100, batch_size=64, rate=0.5, l2=0.0)
    train(network, data, PersistentCD(5, 100, Sparsity(0.0, 0.5)), schedule, generator(0))
    after = nll(network.joint, data)
    assert before > 0.99 * 6 * np.log(2)
    assert 3 * np.log(2) <= after < 0.7 * before  # never below the entropy of the data


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("chains", 0)])
def test_likelihood_refuses(name: str, value: int):
    with pytest.raises(RangeError, match=f"{name} must be at least 1; found 0"):
        PersistentCD(**{name: value})


def test_expected_gradient_is_half_that_of_min_vi():
    rbm, batch = machine(1), binary(1, 1)
    row = join(batch)[0]
    xs, p = conditional(rbm, row, "x")
    zs, q = conditional(rbm, row, "z")
    expected = torch.zeros(sum(parameter.numel() for parameter in rbm.parameters()))
    for i, x in enumerate(xs):
        for j, z in enumerate(zs):
            negatives = {"x": {"x": split(x[None])["x"]}, "z": {"z": split(z[None])["z"]}}
            expected += p[i] * q[j] * gradient(rbm, perceptron_loss(rbm, batch, negatives))
    exact = numeric_gradient(rbm, lambda: min_vi(rbm, batch))
    torch.testing.assert_close(2 * expected, exact, rtol=1e-6, atol=1e-8)


@given(st.integers(0, 10_000), st.integers(0, 6))
def test_keeps_the_state_of_lowest_free_energy_of_the_chain(seed: int, steps: int):
    rbm, x = machine(seed), binary(seed, 12)["x"]
    kept = lowest_sample(rbm, {"x": x}, steps, generator(seed))
    rng = generator(seed)
    hidden = bernoulli(torch.sigmoid(rbm.hidden_bias + 2 * x @ rbm.weight("x")).detach(), rng)
    state = draw_visible(rbm, hidden, ("z",), rng)
    candidates = [state]
    for _ in range(steps):
        state = gibbs_step(rbm, rbm.hidden_logits({"x": x}), state, rng)
        candidates.append(state)
    energies = torch.stack([rbm.free_energy({"x": x} | c) for c in candidates]).detach()
    chosen = rbm.free_energy({"x": x} | kept).detach()
    torch.testing.assert_close(chosen, energies.min(0).values)
    rows = torch.stack([c["z"] for c in candidates])[energies.argmin(0), torch.arange(12)]
    torch.testing.assert_close(kept["z"], rows)


def test_a_long_chain_finds_the_most_probable_state():
    rbm, row = machine(7), binary(7, 1)
    visible, p = conditional(rbm, join(row)[0], "z")
    kept = lowest_sample(rbm, {"x": row["x"]}, 400, generator(0))
    assert p.max() > 0.05  # so 400 steps that mix miss it with a chance of about 1e-9
    torch.testing.assert_close(kept["z"][0], torch.tensor(visible[p.argmax()][4:]))


def test_the_loss_vanishes_where_negatives_are_the_data():
    rbm, batch = machine(2), binary(2, 6)
    loss = perceptron_loss(rbm, batch, {name: {name: values} for name, values in batch.items()})
    assert abs(loss.item()) < 1e-12
    assert gradient(rbm, loss).abs().max() < 1e-12


def test_perceptron_lowers_the_exact_conditional_likelihood():
    x = torch.tensor(states(3))
    data = {"x": x.repeat(4, 1), "z": x.flip(1).repeat(4, 1)}
    network = MDRNN(machine(0, {"x": 3, "z": 3}, 8, scale=0.1))
    before = min_vi(network.joint, data)
    schedule = Schedule(epochs=60, batch_size=32, rate=3.0, l2=0.0)
    train(network, data, PerceptronCD(3, Sparsity(0.0, 0.5)), schedule, generator(0))
    assert min_vi(network.joint, data) < 0.7 * before


def test_perceptron_refuses():
    with pytest.raises(RangeError, match="steps must not be negative; found -1"):
        PerceptronCD(steps=-1)


@pytest.mark.parametrize("make", [lambda: MDRNN(machine(1)), deep], ids=["shallow", "deep"])
@pytest.mark.parametrize("missing", ["x", "z"])
def test_gradient_through_the_unrolled_rounds(make: Callable[[], MDRNN], missing: str):
    network = make()
    batch = {"x": torch.rand(3, 4), "z": torch.rand(3, 3)}
    mask = torch.randint(2, batch[missing].shape).double()

    def loss() -> torch.Tensor:
        return prediction_loss(network, batch, missing, 3, mask, 0.25)[0]

    numeric = numeric_gradient(network, lambda: loss().item())
    torch.testing.assert_close(gradient(network, loss()), numeric, rtol=1e-5, atol=1e-8)


def test_the_loss_is_the_cross_entropy_of_what_was_not_given():
    network, batch = MDRNN(machine(2)), {"x": torch.rand(5, 4), "z": torch.rand(5, 3)}
    mask = torch.zeros(5, 4)
    mask[:, 0] = 1
    loss, hidden = prediction_loss(network, batch, "x", 2, mask, 0.0)
    p, t = torch.sigmoid(network.joint.visible_logits(hidden, "x")), batch["x"]
    expected = -(t * p.log() + (1 - t) * (1 - p).log())[:, 1:].sum() / 5
    torch.testing.assert_close(loss, expected)


def test_what_is_given_is_no_target():
    network, batch = MDRNN(machine(2)), binary(2, 5)
    loss, _ = prediction_loss(network, batch, "x", 2, torch.ones(5, 4), 0.9)
    assert loss.item() == 0


def test_a_step_sums_every_direction_and_its_sparsity():
    network, batch = MDRNN(machine(3)), binary(3, 6)
    sparsity = Sparsity(0.4, 0.2)
    objective = MultiPrediction(2, 0.0, sparsity)
    step = objective.step(network, batch, objective.start(network, None), generator(0))
    total, penalty = torch.zeros(()), torch.zeros(())
    for missing, observed in (("x", "z"), ("z", "x")):
        total = total + prediction_loss(network, batch, missing, 2, torch.zeros_like(batch[missing]), 0.0)[0]
        penalty = penalty + sparsity.cross_entropy(unroll(network, {observed: batch[observed]}, 2)[0])
    torch.testing.assert_close(step.objective, total.detach())
    torch.testing.assert_close(step.loss, total + penalty)


def test_masks_keep_a_share_below_the_most():
    objective, values = MultiPrediction(most_kept=0.25), torch.zeros(100, 400)
    rng = generator(0)
    shares = torch.stack([objective._mask(values, rng).mean() for _ in range(50)])
    assert shares.max() < 0.26  # 40,000 draws: 0.25 is exceeded by 4.6 standard errors
    assert shares.max() > 0.2  # all 50 uniform shares lie below with a chance of 0.8^50
    assert MultiPrediction(most_kept=0.0)._mask(values, rng).sum() == 0


@pytest.mark.parametrize("most_kept", [0.0, 0.25])
def test_prediction_lowers_the_exact_conditional_likelihood(most_kept: float):
    x = torch.tensor(states(3))
    data = {"x": x.repeat(4, 1), "z": x.flip(1).repeat(4, 1)}
    network = MDRNN(machine(0, {"x": 3, "z": 3}, 8, scale=0.1))
    before = min_vi(network.joint, data)
    schedule = Schedule(epochs=100, batch_size=32, rate=1.5, l2=0.0)
    objective = MultiPrediction(3, most_kept, Sparsity(0.0, 0.5))
    history = train(network, data, objective, schedule, generator(0))
    assert history[-1] < 0.5 * history[0]
    assert min_vi(network.joint, data) < 0.5 * before
    filled = fill(network, {"x": x}, most_rounds=3)
    assert torch.equal(filled.missing["z"].round(), x.flip(1))


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"rounds": -1}, "rounds must not be negative; found -1"),
        ({"most_kept": 1.0}, r"most_kept must lie in \[0, 1\); found 1.0"),
    ],
)
def test_multi_prediction_refuses(arguments: dict, found: str):
    with pytest.raises(RangeError, match=found):
        MultiPrediction(**arguments)
