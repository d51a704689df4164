import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.gradients import GradientMoments
from bogc.posterior import BlockPrior, FilteredPrior, GradientPosterior, normal_posterior, predict

POSITIVE = st.floats(1e-3, 1e3)


def kalman(loc: float, variance: float, observation: float, q: float, r: float) -> tuple[float, float]:
    """Textbook scalar filter of a random walk: predict, gain, correct."""
    predicted = variance + q
    gain = predicted / (predicted + r)
    return loc + gain * (observation - loc), (1 - gain) * predicted


def observed(values: list[float], r: float) -> GradientMoments:
    mean = torch.tensor(values, dtype=torch.float64)
    return GradientMoments.from_variance(mean, torch.full_like(mean, 8 * r), 8, 7)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), POSITIVE, POSITIVE, POSITIVE)
def test_predict_and_update_are_a_scalar_kalman_filter(stream, start, q, r):
    loc, variance = 0.0, start
    posterior = GradientPosterior(torch.zeros(1), torch.tensor([start]))
    for value in stream:
        loc, variance = kalman(loc, variance, value, q, r)
        posterior = normal_posterior(observed([value], r), predict(posterior, torch.tensor([q])))
        assert posterior.loc.item() == pytest.approx(loc, rel=1e-9, abs=1e-9)
        assert posterior.variance.item() == pytest.approx(variance, rel=1e-9)


@settings(max_examples=15)
@given(st.floats(1e-2, 1e2), POSITIVE)
def test_gain_settles_at_the_solution_of_the_riccati_equation(ratio, r):
    """P^2 = q (P + r) for the predicted variance P; the mean is then a momentum of coefficient 1 - gain."""
    q = ratio * r
    predicted = (q + (q**2 + 4 * q * r) ** 0.5) / 2
    gain = predicted / (predicted + r)
    posterior = GradientPosterior(torch.zeros(1), torch.ones(1))
    for _ in range(100):
        posterior = normal_posterior(observed([0.0], r), predict(posterior, torch.tensor([q])))
    before = posterior
    after = normal_posterior(observed([1.0], r), predict(before, torch.tensor([q])))
    assert (after.loc - before.loc).item() == pytest.approx(gain, rel=1e-6)
    assert after.variance.item() == pytest.approx((1 - gain) * predicted, rel=1e-6)


@given(st.integers(0, 2**31), st.floats(0.01, 2))
def test_the_policy_filters_with_process_noise_in_units_of_its_start(seed, process):
    stream = 2 + torch.randn(10, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    policy, start = FilteredPrior(process, BlockPrior(0.8)), BlockPrior(0.8)
    state, scale_state, oracle = {}, {}, None
    for row in stream:
        moments = observed(row.tolist(), 0.5)
        prior, state = policy.propose(moments, state)
        posterior = normal_posterior(moments, prior)
        state = policy.absorb(state, posterior)
        first, scale_state = start.propose(moments, scale_state)
        tau = first.variance.item()
        if oracle is None:  # the first prior is the start's: a prediction from N(0, 0) with q = tau^2
            oracle = [kalman(0.0, 0.0, value, tau, 0.5) for value in row.tolist()]
        else:
            pairs = zip(oracle, row.tolist(), strict=True)
            oracle = [kalman(*old, value, process * tau, 0.5) for old, value in pairs]
        expected = torch.tensor(oracle)
        torch.testing.assert_close(posterior.loc, expected[:, 0])
        torch.testing.assert_close(posterior.variance, expected[:, 1])


def test_a_steady_gradient_is_believed_more_than_one_batch_of_it():
    policy, state = FilteredPrior(0.01), {}
    for _ in range(50):
        moments = observed([1.0, 1.0], 1.0)
        prior, state = policy.propose(moments, state)
        posterior = normal_posterior(moments, prior)
        state = policy.absorb(state, posterior)
    fresh = normal_posterior(moments, BlockPrior().propose(moments, {})[0])
    assert bool(((posterior.loc - 1).abs() < (fresh.loc - 1).abs()).all())
