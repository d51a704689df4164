import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import RangeError
from bogc.models.generative import MDRNN, PerceptronCD, Schedule, Sparsity, train
from bogc.models.generative.gibbs import bernoulli, draw_visible, gibbs_step
from bogc.models.generative.perceptron import lowest_sample, perceptron_loss
from tests.models.generative.oracle import (
    binary,
    conditional,
    generator,
    gradient,
    join,
    machine,
    min_vi,
    numeric_gradient,
    split,
    states,
)


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


def test_training_lowers_the_exact_conditional_likelihood():
    x = torch.tensor(states(3))
    data = {"x": x.repeat(4, 1), "z": x.flip(1).repeat(4, 1)}
    network = MDRNN(machine(0, {"x": 3, "z": 3}, 8, scale=0.1))
    before = min_vi(network.joint, data)
    schedule = Schedule(epochs=60, batch_size=32, rate=3.0, l2=0.0)
    train(network, data, PerceptronCD(3, Sparsity(0.0, 0.5)), schedule, generator(0))
    assert min_vi(network.joint, data) < 0.7 * before


def test_refuses():
    with pytest.raises(RangeError, match="steps must not be negative; found -1"):
        PerceptronCD(steps=-1)
