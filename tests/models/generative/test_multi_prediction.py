from collections.abc import Callable

import pytest
import torch

from bogc.errors import RangeError
from bogc.models.generative import MDRNN, MultiPrediction, Schedule, Sparsity, fill, train
from bogc.models.generative.mean_field import unroll
from bogc.models.generative.multi_prediction import prediction_loss
from tests.models.generative.oracle import (
    binary,
    deep,
    generator,
    gradient,
    machine,
    min_vi,
    numeric_gradient,
    states,
)


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
def test_training_lowers_the_exact_conditional_likelihood(most_kept: float):
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
def test_refuses(arguments: dict, found: str):
    with pytest.raises(RangeError, match=found):
        MultiPrediction(**arguments)
