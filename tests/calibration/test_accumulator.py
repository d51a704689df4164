import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration.accumulator import Source
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior, normal_posterior


@given(st.floats(-10, 10), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_source_is_the_posterior_of_its_moments(mean, scatter, scale):
    """Belief is the shrinkage factor, r the relative precision less 1, and the score mu / sqrt(2 v)."""
    given_moments = GradientMoments(*(torch.tensor([number]) for number in (mean, scatter, 8.0, 7.0)))
    posterior = normal_posterior(given_moments, GradientPrior.centred(torch.tensor([scale])))
    tensors = (torch.tensor([number]) for number in (mean, scatter, 0.0, 2 / 56, 2 * scale))
    found = Source.of(*tensors)
    torch.testing.assert_close(found.belief * mean, posterior.loc)
    torch.testing.assert_close(found.odds(), scale / posterior.variance - 1, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.score() * math.sqrt(2), posterior.loc / posterior.scale)


def test_scatter_counts_as_its_floor_at_least():
    found = Source.of(*(torch.tensor([number]) for number in (1.0, 0.0, 0.5, 2.0, 1.0)))
    assert found.noise.item() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odds_stop_where_uncertainty_is_nothing_beside_one(dtype):
    one = torch.ones(1, dtype=dtype)
    odds = Source(one, 1e-30 * one, 1e30 * one, one).odds().item()
    assert 1 + 1 / odds == pytest.approx(1, abs=torch.finfo(dtype).eps)
    assert math.isfinite(odds * odds)
