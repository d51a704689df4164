import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import RangeError
from bogc.models.generative import Sparsity


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
def test_refuses(arguments: tuple[float, ...], found: str):
    with pytest.raises(RangeError, match=found):
        Sparsity(*arguments)
