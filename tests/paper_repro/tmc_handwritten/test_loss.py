import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyro.distributions import Dirichlet
from scipy import integrate, stats
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

from paper_repro.tmc_handwritten.loss import (
    annealed,
    divergence_from_uniform,
    evidential_loss,
    expected_cross_entropy,
    misleading,
)

ALPHA = st.lists(st.floats(1.0, 60.0), min_size=3, max_size=3)


@given(ALPHA, st.integers(0, 2))
def test_expected_cross_entropy_is_the_integral_over_the_marginal(alpha: list[float], y: int):
    """p_y is Beta(alpha_y, S - alpha_y) under the Dirichlet; scipy integrates over t = -log p_y."""
    marginal = stats.beta(alpha[y], sum(alpha) - alpha[y])

    def integrand(t: float) -> float:
        return float(t * marginal.pdf(math.exp(-t)) * math.exp(-t))

    expected, _ = integrate.quad(integrand, 0, 60, limit=200)
    found = expected_cross_entropy(torch.tensor([alpha]), one_hot(torch.tensor([y]), 3).bool())
    assert found.item() == pytest.approx(expected, rel=1e-5)


@given(ALPHA)
def test_divergence_is_that_of_the_distributions(alpha: list[float]):
    value = torch.tensor([alpha])
    expected = kl_divergence(Dirichlet(value), Dirichlet(torch.ones(1, 3)))
    torch.testing.assert_close(divergence_from_uniform(value), expected, rtol=1e-9, atol=1e-9)


def test_no_evidence_has_no_divergence():
    torch.testing.assert_close(divergence_from_uniform(torch.ones(2, 4)), torch.zeros(2))


@given(ALPHA, st.integers(0, 2), st.floats(0, 1))
def test_evidence_for_the_right_class_is_not_punished(alpha: list[float], y: int, weight: float):
    value, right = torch.tensor([alpha]), one_hot(torch.tensor([y]), 3).bool()
    kept = misleading(value, right)
    assert kept[0, y] == 1
    assert all(kept[0, k] == value[0, k] for k in range(3) if k != y)
    more = value + 5 * right
    assert evidential_loss(more, right, weight) < evidential_loss(value, right, weight)


@given(ALPHA, ALPHA, st.integers(0, 2), st.floats(0, 1))
def test_sources_are_judged_one_by_one(first: list[float], second: list[float], y: int, weight: float):
    right = one_hot(torch.tensor([y]), 3).bool()
    both = evidential_loss(torch.tensor([[first], [second]]), right, weight)
    for i, alpha in enumerate((first, second)):
        torch.testing.assert_close(both[i], evidential_loss(torch.tensor([alpha]), right, weight))


def test_gradient_is_that_of_finite_differences():
    alpha = torch.tensor([[1.5, 3.0, 2.0], [8.0, 1.1, 4.0]], requires_grad=True)
    right = one_hot(torch.tensor([0, 2]), 3).bool()
    assert torch.autograd.gradcheck(lambda a: evidential_loss(a, right, 0.5), alpha)


def test_annealing_as_released():
    assert [annealed(epoch, 4) for epoch in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
