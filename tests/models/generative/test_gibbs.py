import numpy as np
import pytest
import torch
from scipy import stats

from bogc.models.generative.gibbs import bernoulli, draw_visible, gibbs_step
from tests.models.generative.oracle import (
    binary,
    conditional,
    generator,
    join,
    machine,
    states,
    weights_of_states,
)

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
