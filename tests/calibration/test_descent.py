"""Property (v): when is the calibrated update a descent direction on average?"""

from statistics import NormalDist

import pytest
import torch

from bogc.belief import DirichletBelief, Opinion, SignalToNoise
from bogc.calibration import CalibratedUpdate, calibrate
from bogc.combination import reduced
from bogc.posterior import GradientPosterior, GradientPrior
from tests.calibration.problems import solve
from tests.properties.strategies import tensor

DRAWS = 200_000
FAILURE_RATE = 2e-5
LIMIT = NormalDist().inv_cdf(1 - FAILURE_RATE / 2)


def drawn_update(gradient: float, generator: torch.Generator) -> CalibratedUpdate:
    """Calibrate three unbiased sources of one gradient; each dimension is an independent draw.

    Uncertainties are drawn apart from the means, as when they are lagged by a step.
    """
    noise = torch.tensor([[0.5], [2.0], [5.0]])
    means = gradient + noise * torch.randn(3, DRAWS, generator=generator)
    uncertainties = 0.01 + 0.98 * torch.rand(3, DRAWS, generator=generator)
    positives = torch.rand(3, DRAWS, generator=generator)
    return solve(means, uncertainties, positives)


def assert_mean_is(sample: torch.Tensor, expected: float) -> None:
    """Two-sided z-test of independent draws: fails a true hypothesis at FAILURE_RATE."""
    error = sample.std() / len(sample) ** 0.5
    assert abs(float(sample.mean() - expected) / float(error)) < LIMIT


@pytest.mark.parametrize("gradient", [1.0, -0.3, 0.0])
def test_v_unbiased_sources_and_independent_weights_give_kappa_times_the_gradient(gradient):
    """E[g_hat] = E[kappa] g, since weights sum to 1: a multiple in [0, M] of the gradient, so descent."""
    update = drawn_update(gradient, torch.Generator().manual_seed(5))
    assert_mean_is(update.direction - gradient * update.conservatism, 0)


@pytest.mark.parametrize("gradient", [1.0, -0.3])
def test_v_unbiased_sources_and_independent_weights_descend_on_average(gradient):
    """The first-order change of the loss, -g E[g_hat], is negative: one-sided at half the FAILURE_RATE."""
    product = gradient * drawn_update(gradient, torch.Generator().manual_seed(6)).direction
    assert float(product.mean()) > LIMIT * float(product.std()) / DRAWS**0.5


def signal_to_noise_update(values: list[float]) -> torch.Tensor:
    """Update of one source in each outcome of its draw, its evidence counted from the same draw."""
    posterior = GradientPosterior(tensor(values), torch.ones(len(values)))
    prior = GradientPrior.centred(torch.ones(1))
    own = Opinion.from_dirichlet(DirichletBelief.from_evidence(SignalToNoise()(posterior, prior)))
    return calibrate([posterior], [own], reduced.combine([own])).direction


def test_v_weights_that_depend_on_the_draw_can_ascend_on_average():
    """An unbiased source of g = .2: 1 with probability .8, -3 with .2.

    Its signal-to-noise evidence is 1 or 9, so b = 1/3 or 9/11 and E[b mu] = .8/3 - .2 * 27/11 < 0: the rare
    large draw looks certain.
    """
    values, probability = [1.0, -3.0], tensor([0.8, 0.2])
    assert float(probability @ tensor(values)) == pytest.approx(0.2)
    expected = 0.8 / 3 - 0.2 * 27 / 11
    assert float(probability @ signal_to_noise_update(values)) == pytest.approx(expected)
    assert expected < -0.2


def test_v_lagged_weights_of_the_same_source_descend_on_average():
    """The same outcomes with the belief of an independent earlier draw: E[b mu] = E[b] g > 0."""
    values, probability = [1.0, -3.0], tensor([0.8, 0.2])
    beliefs = signal_to_noise_update(values) / tensor(values)
    lagged = torch.outer(probability, probability) * torch.outer(beliefs, tensor(values))
    assert float(lagged.sum()) == pytest.approx(float(probability @ beliefs) * 0.2)


def test_v_needs_all_sources_to_be_unbiased_for_one_gradient():
    """Sources of different losses: certain of g = -.9 and unsure of g = 1, the sum .1 is left uphill."""
    means = tensor([[1.0], [-0.9]])
    update = solve(means, tensor([[0.9], [0.1]]), tensor([[0.5], [0.5]]))
    assert float(means.sum()) == pytest.approx(0.1)
    assert update.direction.item() < -0.1
