import numpy as np
import pytest
import torch

from bogc.errors import RangeError
from bogc.models.generative import MDRNN, PersistentCD, Schedule, Sparsity, train
from bogc.models.generative.likelihood import advance_chains, likelihood_loss, start_chains
from tests.models.generative.oracle import (
    binary,
    deep,
    generator,
    gradient,
    machine,
    nll,
    numeric_gradient,
    split,
    states,
    weights_of_states,
)


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
def test_refuses(name: str, value: int):
    with pytest.raises(RangeError, match=f"{name} must be at least 1; found 0"):
        PersistentCD(**{name: value})
