import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.gradients import ONE_BLOCK, GradientMoments
from bogc.posterior import (
    Filtered,
    FilteredRoute,
    GradientPosterior,
    GradientPrior,
    filter_step,
    normal_posterior,
)
from bogc.posterior.filtered import predicted_evidence

PHIS = st.floats(0, 1)
POSITIVE = st.floats(1e-3, 1e3)
STEP = st.tuples(st.floats(-100, 100), POSITIVE, PHIS)  # mean of a batch, its noise, phi before it


def kalman(
    loc: float, variance: float, seen: float, noise: float, phi: float, tau2: float
) -> tuple[float, float]:
    """Textbook scalar filter of g_t = phi g_{t-1} + N(0, (1 - phi^2) tau^2): predict, gain, correct."""
    loc, variance = phi * loc, phi**2 * variance + (1 - phi**2) * tau2
    gain = variance / (variance + noise)
    return loc + gain * (seen - loc), (1 - gain) * variance


def observed(mean: float, noise: float) -> GradientMoments:
    return GradientMoments.from_variance(torch.tensor([mean]), torch.tensor([8 * noise]), 8, 7)


def nothing(size: int = 1) -> Filtered:
    return Filtered(torch.zeros(size), torch.zeros(size))


@given(st.lists(STEP, min_size=1, max_size=12), POSITIVE)
def test_with_one_prior_variance_it_is_the_kalman_filter_whatever_noise_and_phi_do(steps, tau2):
    prior = GradientPrior.centred(torch.tensor([tau2]))
    filtered, loc, variance = nothing(), 0.0, tau2
    for mean, noise, phi in steps:
        filtered = filter_step(filtered, observed(mean, noise), prior, phi)
        loc, variance = kalman(loc, variance, mean, noise, phi, tau2)
        assert filtered.mean.item() == pytest.approx(loc, rel=1e-8, abs=1e-9)
        assert tau2 / (1 + filtered.evidence.item()) == pytest.approx(variance, rel=1e-8)


@given(STEP, STEP, POSITIVE, st.floats(0.01, 100))
def test_where_the_prior_variance_moves_certainty_is_carried_and_not_variance(first, second, tau2, factor):
    """As a Kalman filter that is told P anew, in units of today's tau^2; kept, u would jump by 1 / factor."""
    before = filter_step(
        nothing(), observed(*first[:2]), GradientPrior.centred(torch.tensor([tau2])), first[2]
    )
    now = GradientPrior.centred(torch.tensor([factor * tau2]))
    mean, noise, phi = second
    after = filter_step(before, observed(mean, noise), now, phi)
    rescaled = (before.mean.item(), factor * tau2 / (1 + before.evidence.item()))
    loc, variance = kalman(*rescaled, mean, noise, phi, factor * tau2)
    assert after.mean.item() == pytest.approx(loc, rel=1e-8, abs=1e-9)
    assert factor * tau2 / (1 + after.evidence.item()) == pytest.approx(variance, rel=1e-8)


def test_the_evidence_form_and_the_kalman_filter_part_when_the_prior_variance_moves():
    """A batch at tau^2 = 1, then nothing at tau^2 = 4: u stays .5, that of a Kalman filter falls to .125."""
    before = filter_step(nothing(), observed(1.0, 1.0), GradientPrior.centred(torch.ones(1)), 1.0)
    after = filter_step(before, observed(0.0, 1e12), GradientPrior.centred(4 * torch.ones(1)), 1.0)
    assert 1 / (1 + after.evidence.item()) == pytest.approx(0.5)
    _, variance = kalman(*kalman(0, 1, 1.0, 1.0, 1.0, 1.0), 0.0, 1e12, 1.0, 4.0)
    assert variance / 4 == pytest.approx(0.125)


@given(st.floats(0, 1e6), PHIS)
def test_a_step_of_drift_leaves_less_evidence_and_none_of_what_there_was_at_phi_zero(evidence, phi):
    e = torch.tensor(evidence)
    left = predicted_evidence(e, phi).item()
    assert 0 <= left <= evidence * (1 + 1e-12)
    assert predicted_evidence(e, 1.0).item() == pytest.approx(evidence)
    assert predicted_evidence(e, 0.0).item() == 0
    variance = phi**2 / (1 + evidence) + 1 - phi**2  # in units of tau^2
    assert left == pytest.approx(1 / variance - 1, rel=1e-6, abs=1e-9 * (1 + evidence))


@given(st.floats(0.01, 100), st.floats(0.1, 0.99))
def test_certainty_settles_at_the_solution_of_the_riccati_equation(ratio, phi):
    """e = F(e) + r, by bisection; steady, mean and evidence no longer depend on how it began."""
    prior = GradientPrior.centred(torch.ones(1))
    filtered = nothing()
    for _ in range(3000):
        previous, filtered = filtered, filter_step(filtered, observed(0.0, 1 / ratio), prior, phi)
        if torch.equal(previous.evidence, filtered.evidence):
            break
    low, high = ratio, ratio + 1 / (1 - phi**2) + ratio * 1e4
    for _ in range(200):
        middle = (low + high) / 2
        gained = phi**2 * middle / (1 + (1 - phi**2) * middle) + ratio
        low, high = (middle, high) if gained > middle else (low, middle)
    assert filtered.evidence.item() == pytest.approx(low, rel=1e-6)


def carried(size: int) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(size) for name in FilteredRoute.remembers}


def random_step(seed: int, size: int = 5) -> tuple[GradientMoments, GradientPrior]:
    generator = torch.Generator().manual_seed(seed)
    mean, noise, tau2 = torch.randn(3, size, generator=generator, dtype=torch.float64)
    prior = GradientPrior.centred(tau2.exp())
    return GradientMoments.from_variance(mean, 8 * noise.exp(), 8, 7), prior


@given(st.integers(0, 2**31), PHIS)
def test_the_route_writes_each_step_in_place_and_gives_its_posterior(seed, phi):
    route, memory, filtered = FilteredRoute(), carried(5), nothing(5)
    places = {name: values.data_ptr() for name, values in memory.items()}
    for step in range(4):
        moments, prior = random_step(seed + step)
        filtered = filter_step(filtered, moments, prior, phi)
        route.remember(moments, prior, memory, phi)
        posterior = route.posterior(moments, prior, memory, ONE_BLOCK)
        torch.testing.assert_close(posterior.loc, filtered.mean)
        torch.testing.assert_close(posterior.variance, prior.variance / (1 + filtered.evidence))
        GradientPosterior(posterior.loc, posterior.variance)  # the check
    assert {name: values.data_ptr() for name, values in memory.items()} == places
    kept = posterior.loc.clone()
    route.remember(moments, prior, memory, phi)
    assert torch.equal(posterior.loc, kept)


def test_the_first_step_is_that_of_one_batch():
    route, memory = FilteredRoute(), carried(5)
    moments, prior = random_step(0)
    route.remember(moments, prior, memory, 0.9)
    alone = normal_posterior(moments, prior)
    for found in (route(moments, prior), route.posterior(moments, prior, memory, ONE_BLOCK)):
        torch.testing.assert_close(found.loc, alone.loc)
        torch.testing.assert_close(found.variance, alone.variance)


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_rescaling_the_loss_rescales_the_mean_and_leaves_the_evidence(seed, factor):
    def run(factor: float) -> Filtered:
        filtered = nothing(5)
        for step in range(3):
            moments, prior = random_step(seed + step)
            scaled = GradientMoments.from_variance(factor * moments.mean, factor**2 * moments.variance, 8, 7)
            filtered = filter_step(filtered, scaled, GradientPrior.centred(factor**2 * prior.variance), 0.8)
        return filtered

    scaled, plain = run(factor), run(1.0)
    torch.testing.assert_close(scaled.mean / factor, plain.mean, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(scaled.evidence, plain.evidence, rtol=1e-8, atol=1e-12)


def test_a_steady_gradient_is_known_better_than_from_one_batch():
    moments, prior = observed(1.0, 1.0), GradientPrior.centred(torch.ones(1))
    filtered = nothing()
    for _ in range(50):
        filtered = filter_step(filtered, moments, prior, 0.98)
    alone = normal_posterior(moments, prior)
    assert abs(filtered.mean.item() - 1) < abs(alone.loc.item() - 1)
    assert 1 / (1 + filtered.evidence.item()) < alone.variance.item()
