import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.gradients import RunningMoments

DECAYS = st.floats(0.05, 0.999)
LENGTHS = st.integers(2, 60)


def run(stream: Tensor, decay: float) -> RunningMoments:
    running = RunningMoments.empty(stream[0])
    for observation in stream:
        running = running.update(observation, decay)
    return running


def weights_of(steps: int, decay: float) -> Tensor:
    return decay ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)


@given(LENGTHS, DECAYS, st.integers(0, 2**31), st.floats(-100, 100))
def test_equals_an_explicit_weighted_sum(steps, decay, seed, loc):
    stream = loc + torch.randn(steps, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    running, weights = run(stream, decay), weights_of(steps, decay)
    share = (weights / weights.sum()).unsqueeze(1)
    mean = (share * stream).sum(0)
    biased = (share * (stream - mean).square()).sum(0)
    torch.testing.assert_close(running.mean, mean)
    torch.testing.assert_close(running.variance, biased / (1 - share.square().sum()), rtol=1e-8, atol=1e-14)
    assert running.effective_count == pytest.approx(1 / share.square().sum().item())
    assert running.degrees_of_freedom == pytest.approx(running.effective_count - 1)
    assert running.steps == steps


@given(LENGTHS, DECAYS)
def test_variance_of_an_iid_stream_is_unbiased(steps, decay):
    """A quadratic form x'Qx blind to a common shift has mean sigma^2 trace Q, the sum over unit vectors."""
    torch.testing.assert_close(run(torch.eye(steps), decay).variance.sum(), torch.tensor(1.0))
    shifted = run(torch.eye(steps) + 5, decay)
    torch.testing.assert_close(shifted.variance, run(torch.eye(steps), decay).variance)


@given(LENGTHS, DECAYS)
def test_mean_is_bias_corrected(steps, decay):
    """A constant stream has its own mean from the first step on, and the weights of any stream sum to 1."""
    running = run(torch.full((steps, 2), 3.0), decay)
    torch.testing.assert_close(running.mean, torch.full((2,), 3.0))
    torch.testing.assert_close(running.variance, torch.zeros(2))
    torch.testing.assert_close(run(torch.eye(steps), decay).mean.sum(), torch.tensor(1.0))


def test_monte_carlo_variance_is_unbiased_in_the_middle_of_a_stream():
    """The unbiased weighted variance of Gaussians has relative variance at most 2 sum(w^2) / (1 - sum(w^2)),
    w normalised: at decay 0.7 after 6 steps w'w = 0.227 and the bound holds with 0.6. The mean over R streams
    is 4.27 sqrt(0.6 / R) off with probability below 2e-5."""
    streams = 100_000
    running = run(2.0 * torch.randn(6, streams), 0.7)
    assert abs(running.variance.mean().item() / 4 - 1) < 4.27 * (0.6 / streams) ** 0.5


def test_float32_keeps_a_small_variance_around_a_large_mean():
    stream = (1000 + 0.01 * torch.randn(200, 20)).float()
    running, expected = run(stream, 0.95), run(stream.double(), 0.95)
    torch.testing.assert_close(running.variance.double(), expected.variance, rtol=5e-2, atol=0)


def test_one_observation_has_no_variance_and_none_has_no_weight():
    running = RunningMoments.empty(torch.zeros(2))
    assert (running.steps, running.weight, running.degrees_of_freedom) == (0, 0.0, 0.0)
    running = running.update(torch.ones(2), 0.9)
    assert running.degrees_of_freedom == 0.0
    assert torch.equal(running.mean, torch.ones(2))
    assert bool(running.variance.isnan().all())


def test_update_leaves_the_old_moments_alone():
    first = RunningMoments.empty(torch.zeros(2)).update(torch.ones(2), 0.9)
    mean, scatter = first.mean.clone(), first.scatter.clone()
    first.update(torch.full((2,), 5.0), 0.9)
    assert torch.equal(first.mean, mean)
    assert torch.equal(first.scatter, scatter)
