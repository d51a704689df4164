import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import RangeError
from bogc.methods import MIMO, JointTraining
from bogc.methods.sums import smoothed_maximum_weights
from tests.networks import NETWORKS, PlainNetwork, gradients_of, losses_of

from .methods import assert_gradients_close, gradient_of

losses = st.lists(st.floats(0, 20), min_size=1, max_size=4)
smoothings = st.floats(0.01, 50)


def smoothed_maximum(f: torch.Tensor, mu: float) -> torch.Tensor:
    """mu log mean exp(f / mu), by theory 6.10."""
    return mu * (torch.logsumexp(f / mu, dim=0) - math.log(len(f)))


@given(values=losses, mu=smoothings)
def test_weights_are_the_gradient_of_the_smoothed_maximum(values: list[float], mu: float):
    f = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(smoothed_maximum(f, mu), f)
    torch.testing.assert_close(smoothed_maximum_weights(f, mu), expected, rtol=1e-9, atol=1e-12)


@given(values=losses, mu=smoothings)
def test_weights_are_a_distribution_ordered_as_the_losses(values: list[float], mu: float):
    f = torch.tensor(values, dtype=torch.float64)
    p = smoothed_maximum_weights(f, mu)
    assert p.sum().item() == pytest.approx(1)
    assert bool((p >= 0).all())
    order = f.argsort()
    assert bool((p[order].diff() >= -1e-12).all())


@given(values=losses, mu=smoothings)
def test_the_smoothed_maximum_lies_within_its_bounds(values: list[float], mu: float):
    """Theory 6.11."""
    f = torch.tensor(values, dtype=torch.float64)
    found = smoothed_maximum(f, mu).item()
    assert max(values) - mu * math.log(len(values)) - 1e-9 <= found <= max(values) + 1e-9


@given(values=losses)
def test_limits_of_the_weights(values: list[float]):
    """Theory 6.13: all alike for large mu; 6.14: shared by those at the maximum for small mu."""
    f = torch.tensor(values, dtype=torch.float64).round()
    even = torch.full_like(f, 1 / len(values))
    torch.testing.assert_close(smoothed_maximum_weights(f, 1e9), even)
    worst = (f == f.max()).double()
    torch.testing.assert_close(smoothed_maximum_weights(f, 1e-3), worst / worst.sum())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("strength", "mu"), [(1.0, 0.1), (3.0, 0.02), (0.4, 10.0)])
def test_equals_autograd_of_the_objective(network: str, strength: float, mu: float):
    """F = f_0 + lambda mu log mean exp(f / mu) (theory 6.10), differentiated as a whole."""
    model = NETWORKS[network]()
    found = gradient_of(model, MIMO(model.partition(), strength, mu), losses_of(model))
    means = {source: loss.mean() for source, loss in losses_of(model).items()}
    fusion = means.pop("fusion")
    (fusion + strength * smoothed_maximum(torch.stack(list(means.values())), mu)).backward()
    assert_gradients_close(found, gradients_of(model), 1e-10)


def test_a_missing_modality_counts_neither_in_the_maximum_nor_in_its_mean():
    model = PlainNetwork()
    seen = losses_of(model, without="sound")
    info = MIMO(model.partition(), strength=2.0).backward(seen)
    assert {source: factor.item() for source, factor in info.factors.items()} == {"fusion": 1, "image": 2}


def test_without_unimodal_losses_it_is_joint_training():
    model = PlainNetwork()
    found = gradient_of(model, MIMO(model.partition()), {"fusion": losses_of(model)["fusion"]})
    expected = gradient_of(model, JointTraining(model.partition()), losses_of(model))
    assert_gradients_close(found, expected, 1e-12)


def test_constants_out_of_range():
    partition = PlainNetwork().partition()
    with pytest.raises(RangeError, match=r"strength must not be negative; found -1.0"):
        MIMO(partition, strength=-1.0)
    with pytest.raises(RangeError, match=r"smoothing must be positive; found 0.0"):
        MIMO(partition, smoothing=0.0)
