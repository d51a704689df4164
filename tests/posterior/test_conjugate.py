import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import Gamma, InverseGamma, Normal

from bogc.errors import RangeError, TooFewSamplesError, ZeroVarianceError
from bogc.gradients import GradientMoments
from bogc.posterior import (
    ConjugateNormal,
    GradientPosterior,
    GradientPrior,
    NormalInverseGammaRoute,
    NormalRoute,
    normal_posterior,
)

from .problems import problem, problems

SHAPES = st.floats(1.1, 50)


@given(problems(), st.floats(-5, 5))
def test_prior_times_likelihood_is_posterior_times_evidence(case, z):
    """For any g, in log densities: the definition of a posterior."""
    moments, prior = case
    posterior = normal_posterior(moments, prior)
    g = posterior.loc + z * posterior.scale
    scale = prior.variance.sqrt()
    left = Normal(prior.loc, scale).log_prob(g) + Normal(g, moments.noise.sqrt()).log_prob(moments.mean)
    evidence = Normal(prior.loc, (prior.variance + moments.noise).sqrt()).log_prob(moments.mean)
    right = Normal(posterior.loc, posterior.scale).log_prob(g) + evidence
    torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-6)


@given(problems())
def test_precisions_add_and_means_are_weighted_by_them(case):
    moments, prior = case
    posterior = normal_posterior(moments, prior)
    own, data = 1 / prior.variance, 1 / moments.noise
    torch.testing.assert_close(posterior.precision, own + data)
    expected = (own * prior.loc + data * moments.mean) / (own + data)
    torch.testing.assert_close(posterior.loc, expected, rtol=1e-9, atol=1e-9 * prior.variance.sqrt().item())


@given(problems())
def test_two_half_batches_in_turn_equal_the_whole(case):
    """Yesterday's posterior is today's prior; the variance of a sample is known and common."""
    moments, prior = case
    variance = moments.variance
    spread = variance.sqrt()
    halves = [
        GradientMoments.from_variance(moments.mean + sign * spread, variance, 16, 15) for sign in (1, -1)
    ]
    first = normal_posterior(halves[0], prior)
    second = normal_posterior(halves[1], GradientPrior(first.loc, first.variance))
    whole = normal_posterior(moments, prior)
    torch.testing.assert_close(second.variance, whole.variance)
    assert bool(((second.loc - whole.loc).abs() <= 1e-7 * spread + 1e-7 * whole.scale).all())


@given(problems(), st.floats(1e-3, 1e3))
@pytest.mark.parametrize("route", [NormalRoute(), NormalInverseGammaRoute()])
def test_rescaling_the_loss_rescales_the_posterior(route, case, factor):
    moments, prior = case
    scaled = GradientMoments.from_variance(factor * moments.mean, factor**2 * moments.variance, 32, 31)
    actual = route(scaled, GradientPrior(factor * prior.loc, factor**2 * prior.variance))
    expected = route(moments, prior)
    torch.testing.assert_close(actual.loc / factor, expected.loc, rtol=1e-8, atol=1e-20)
    torch.testing.assert_close(actual.variance / factor**2, expected.variance)


def test_limits_of_little_and_of_much_data():
    prior = GradientPrior(torch.tensor([1.0]), torch.tensor([4.0]))
    for variance, expected in [(1e20, (1.0, 4.0)), (1e-20, (5.0, 1e-21))]:
        moments = GradientMoments.from_variance(torch.tensor([5.0]), torch.tensor([variance]), 10, 9)
        posterior = normal_posterior(moments, prior)
        assert (posterior.loc.item(), posterior.variance.item()) == pytest.approx(expected)


def test_float32_survives_extreme_scales():
    for mean, noise, prior in [(1e-14, 1e-28, 1e-30), (1e15, 1e30, 1e28), (1.0, 1e-30, 1e30)]:
        moments = GradientMoments.from_variance(*torch.tensor([[mean], [noise * 4]]).float(), 4, 3)
        posterior = normal_posterior(moments, GradientPrior.centred(torch.tensor([prior]).float()))
        GradientPosterior(posterior.loc, posterior.variance)  # the check: finite and positive


def test_conjugate_normal_is_the_route_with_checks():
    moments, prior = problem(4, 0)
    checked, plain = ConjugateNormal(prior)(moments), NormalRoute()(moments, prior)
    assert torch.equal(checked.loc, plain.loc)
    assert torch.equal(checked.variance, plain.variance)
    with pytest.raises(TooFewSamplesError, match="must be at least 1 for a variance"):
        ConjugateNormal(prior)(GradientMoments.from_samples(torch.ones(1, 4)))
    with pytest.raises(ZeroVarianceError, match=r"variance must be positive; found 0 at index \[0\]"):
        ConjugateNormal(prior)(GradientMoments.from_samples(torch.ones(5, 4)))


def log_joint(
    moments: GradientMoments, prior: GradientPrior, shape: float, g: Tensor, variance: Tensor
) -> Tensor:
    """log p(sigma^2) p(g | sigma^2) p(mean | g, sigma^2) p(scatter | sigma^2), a dimension at a time."""
    pooled = moments.variance.mean()
    free = moments.degrees_of_freedom
    return (
        InverseGamma(torch.tensor(shape), (shape - 1) * pooled).log_prob(variance)
        + Normal(prior.loc, (variance * prior.variance / pooled).sqrt()).log_prob(g)
        + Normal(g, (variance / moments.count).sqrt()).log_prob(moments.mean)
        + Gamma(free / 2, 1 / (2 * variance)).log_prob(moments.scatter)
    )


@given(problems(), SHAPES, st.tuples(st.floats(-3, 3), st.floats(-3, 3)), st.floats(0.1, 10))
def test_normal_inverse_gamma_is_conjugate(case, shape, z, factor):
    """Joint / [InverseGamma(a_n, b_n) Normal(loc, sigma^2/kappa_n)] is one constant for every (g, sigma^2);
    the Student-t has df = 2 a_n and scale^2 = b_n / (a_n kappa_n)."""
    moments, prior = case
    marginal = NormalInverseGammaRoute(shape).marginal(moments, prior)
    pooled = moments.variance.mean()
    kappa = pooled / prior.variance + moments.count
    a = marginal.df / 2
    b = marginal.scale.square() * a * kappa

    def log_evidence(z: float, variance: Tensor) -> Tensor:
        g = marginal.loc + z * marginal.scale
        posterior = InverseGamma(a, b).log_prob(variance)
        posterior = posterior + Normal(marginal.loc, (variance / kappa).sqrt()).log_prob(g)
        return log_joint(moments, prior, shape, g, variance) - posterior

    base = b / a
    torch.testing.assert_close(
        log_evidence(z[0], base), log_evidence(z[1], factor * base), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("count", "free"), [(8.0, 7.0), (40.0, 3.0)])
def test_student_marginal_is_the_integral_over_the_variance(count, free):
    moments = GradientMoments.from_variance(torch.tensor([0.7]), torch.tensor([2.0]), count, free)
    prior = GradientPrior(torch.tensor([-0.2]), torch.tensor([0.5]))
    marginal = NormalInverseGammaRoute(2.5).marginal(moments, prior)

    def density(g: float) -> float:
        def integrand(log_variance: float) -> float:
            variance = torch.tensor([math.exp(log_variance)])
            return math.exp(log_joint(moments, prior, 2.5, torch.tensor([g]), variance).item() + log_variance)

        return integrate.quad(integrand, -6, 8, epsabs=0, epsrel=1e-7)[0]

    oracle = stats.t(marginal.df.item(), marginal.loc.item(), marginal.scale.item())
    points = [-1.0, 0.0, 0.3, 0.7, 2.0]
    ratios = [density(g) / oracle.pdf(g) for g in points]
    assert ratios == pytest.approx([ratios[0]] * len(points), rel=1e-5)


@given(problems(1))
def test_known_variance_is_the_limit_of_a_strong_variance_prior(case):
    moments, prior = case
    limit = NormalInverseGammaRoute(1e9)(moments, prior)
    known = normal_posterior(moments, prior)
    torch.testing.assert_close(limit.variance, known.variance, rtol=1e-5, atol=0)
    assert bool(((limit.loc - known.loc).abs() < 1e-6 * known.scale + 1e-9 * known.loc.abs()).all())


def test_unknown_variance_can_leave_more_variance_than_the_prior_had():
    """The prior takes the block's pooled noise for every dimension; one that is noisier learns so. Read by
    the pseudo-count map, which compares with the prior, its data count for nothing."""
    moments = GradientMoments.from_variance(torch.zeros(2), torch.tensor([0.1, 3.0]), 16, 15)
    prior = GradientPrior.centred(torch.tensor([1e-3]))
    posterior = NormalInverseGammaRoute()(moments, prior)
    assert (posterior.variance > prior.variance).tolist() == [False, True]
    assert bool((normal_posterior(moments, prior).variance < prior.variance).all())


def test_shape_must_leave_the_variance_a_mean():
    with pytest.raises(RangeError, match="shape must exceed 1 and be finite; found 1"):
        NormalInverseGammaRoute(1.0)
