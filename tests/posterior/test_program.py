"""The closed forms against the program they solve: by its log density, by SVI and by NUTS."""

import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyro import poutine
from pyro.ops.stats import effective_sample_size
from torch import Tensor

from bogc.errors import RangeError
from bogc.gradients import GradientMoments
from bogc.posterior import (
    GradientPosterior,
    GradientPrior,
    NormalInverseGammaRoute,
    VariationalRoute,
    infer_nuts,
    infer_svi,
    normal_posterior,
)
from bogc.posterior.filtered import Filtered, filter_step
from bogc.posterior.program import filtered_program, known_variance, unknown_variance

from .problems import Problem, problem, problems


def log_joint(program, observed: dict[str, Problem], values: dict[str, Tensor]) -> float:
    trace = poutine.trace(poutine.condition(program, values)).get_trace(observed)
    return trace.log_prob_sum().item()


@settings(max_examples=20)
@given(problems(), problems(2), st.floats(-3, 3), st.floats(-3, 3))
def test_the_program_is_the_posterior_up_to_its_evidence(first, second, z, w):
    """log joint - log posterior is the same at any two gradients, for two sources in one program."""
    observed = {"image": first, "sound": second}
    posteriors = {source: normal_posterior(*case) for source, case in observed.items()}

    def log_evidence(z: float) -> float:
        draws = {s: p.loc + z * p.scale for s, p in posteriors.items()}
        joint = log_joint(known_variance, observed, {f"gradient_{s}": g for s, g in draws.items()})
        return joint - sum(p.log_prob(draws[s]).item() for s, p in posteriors.items())

    assert log_evidence(z) == pytest.approx(log_evidence(w), rel=1e-6, abs=1e-5)


@settings(max_examples=20)
@given(problems(), st.floats(1.5, 20), st.floats(-3, 3), st.floats(0.2, 5))
def test_the_program_with_unknown_variance_is_normal_inverse_gamma(case, shape, z, factor):
    moments, prior = case
    marginal = NormalInverseGammaRoute(shape).marginal(moments, prior)
    kappa = moments.variance.mean() / prior.variance + moments.count
    a = marginal.df / 2
    b = marginal.scale.square() * a * kappa

    def log_evidence(z: float, variance: Tensor) -> float:
        gradient = marginal.loc + z * marginal.scale
        values = {"variance_s": variance, "gradient_s": gradient}
        joint = log_joint(lambda o: unknown_variance(o, shape), {"s": case}, values)
        posterior = torch.distributions.InverseGamma(a, b).log_prob(variance)
        posterior = posterior + torch.distributions.Normal(marginal.loc, (variance / kappa).sqrt()).log_prob(
            gradient
        )
        return joint - posterior.sum().item()

    base = b / a
    assert log_evidence(z, factor * base) == pytest.approx(log_evidence(0.0, base), rel=1e-6, abs=1e-5)


def assert_draws_fit(draws: Tensor, loc: Tensor, variance: Tensor, effective: Tensor) -> None:
    """Means and mean squared deviations, 5 standard errors of half the estimated effective sample size."""
    squares = (draws - loc).square()
    for values, expected in ((draws, loc), (squares, variance)):
        error = (values.var(0) / (effective / 2)).sqrt()
        assert bool(((values.mean(0) - expected).abs() < 5 * error).all())


def mild(shift: float, noise: list[float]) -> Problem:
    """One step size for all dimensions is quick only where their scales are alike."""
    variance = 16 * torch.tensor(noise)
    moments = GradientMoments.from_variance(torch.tensor([0.5, -0.8]), variance, 16, 15)
    return moments, GradientPrior(torch.tensor([shift]), torch.tensor([1.0]))


def proportional(signal: float, noise: list[float]) -> Problem:
    """The default's prior: tau_d^2 = a sqrt(v_d), a scale a dimension."""
    variance = torch.tensor(noise)
    moments = GradientMoments.from_variance(torch.tensor([0.7, -0.4]), 16 * variance, 16, 15)
    return moments, GradientPrior.centred(signal * variance.sqrt())


def effective_size(draws: Tensor) -> Tensor:
    """The smaller of those of the draws and of their squares, at most the number of draws."""
    centred = draws - draws.mean(0)
    sizes = [effective_sample_size(v.unsqueeze(0)) for v in (centred, centred.square())]
    return torch.minimum(*sizes).clamp_max(len(draws))


# Failure rate: a run makes 2 comparisons in each of 4 dimensions. With the effective size exact, 5 standard
# errors of half of it are 7 of the whole; overestimated twofold, they still are 5: 8 x 5.7e-7 = 5e-6 a run.
def test_nuts_agrees_with_the_closed_form():
    """One source with a prior scale for the block, one with a scale a dimension."""
    observed = {"image": mild(0.3, [0.5, 2.0]), "sound": proportional(0.8, [0.4, 1.5])}
    pyro.set_rng_seed(0)
    draws = infer_nuts(observed, samples=250, warmup=100)
    assert draws.keys() == observed.keys()
    for source, case in observed.items():
        posterior = normal_posterior(*case)
        assert draws[source].shape == (250, 2)
        assert_draws_fit(draws[source], posterior.loc, posterior.variance, effective_size(draws[source]))


def test_nuts_agrees_with_the_student_marginal():
    mean, variance = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 3.0])
    moments = GradientMoments.from_variance(mean, variance, 6, 5)
    prior = GradientPrior(torch.tensor([0.1]), torch.tensor([0.4]))
    pyro.set_rng_seed(0)
    draws = infer_nuts({"s": (moments, prior)}, unknown_variance, samples=200, warmup=100)["s"]
    marginal = NormalInverseGammaRoute().marginal(moments, prior)
    assert_draws_fit(draws, marginal.loc, marginal.variance, effective_size(draws))


Sequence = tuple[list[GradientMoments], GradientPrior]


def sequence(steps: int = 5, seed: int = 0) -> Sequence:
    """Three dimensions, noise that differs by dimension and step, one tau^2 for each dimension."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(steps, 3, generator=generator, dtype=torch.float64)
    noises = 0.3 + torch.rand(steps, 3, generator=generator, dtype=torch.float64)
    tau2 = torch.tensor([0.6, 1.0, 1.6])
    batches = [GradientMoments.from_variance(m, 8 * v, 8, 7) for m, v in zip(means, noises, strict=True)]
    return batches, GradientPrior.centred(tau2)


def kalman(case: Sequence, phi: float) -> tuple[Tensor, Tensor]:
    """Textbook filter in variances; posterior of the last gradient."""
    batches, prior = case
    loc, variance = torch.zeros(3), prior.variance
    for moments in batches:
        loc, variance = phi * loc, phi**2 * variance + (1 - phi**2) * prior.variance
        gain = variance / (variance + moments.noise)
        loc, variance = loc + gain * (moments.mean - loc), (1 - gain) * variance
    return loc, variance


def filtered(case: Sequence, phi: float) -> tuple[Tensor, Tensor]:
    batches, prior = case
    state = Filtered(torch.zeros(3), torch.zeros(3))
    for moments in batches:
        state = filter_step(state, moments, prior, phi)
    return state.mean, prior.variance / (1 + state.evidence)


def smoothed(case: Sequence, phi: float) -> tuple[Tensor, Tensor]:
    """Posterior of all gradients [T, D] by matrices: the prior covariance is tau^2 phi^|s-t|."""
    batches, prior = case
    times = torch.arange(len(batches), dtype=torch.float64)
    lags = phi ** (times.unsqueeze(0) - times.unsqueeze(1)).abs()
    locs, covariances = [], []
    for d, tau2 in enumerate(prior.variance):
        means = torch.stack([moments.mean[d] for moments in batches])
        noise = torch.diag(torch.stack([moments.noise[d] for moments in batches]))
        kept = tau2 * lags @ torch.linalg.inv(tau2 * lags + noise)
        locs.append(kept @ means)
        covariances.append(tau2 * lags - kept @ (tau2 * lags))
    return torch.stack(locs, 1), torch.stack(covariances)


@given(st.integers(1, 6), st.integers(0, 2**31), st.floats(0, 0.99))
def test_filter_step_kalman_filter_and_the_joint_gaussian_agree_on_the_last_gradient(steps, seed, phi):
    case = sequence(steps, seed)
    locs, covariances = smoothed(case, phi)
    for loc, variance in (kalman(case, phi), filtered(case, phi)):
        torch.testing.assert_close(loc, locs[-1], rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(variance, covariances[:, -1, -1], rtol=1e-8, atol=1e-10)


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_the_program_over_steps_is_that_gaussian_up_to_its_evidence(steps, seed, phi):
    """log joint - log posterior of all steps is the same at any two sequences of gradients."""
    case = sequence(steps, seed)
    locs, covariances = smoothed(case, phi)
    posteriors = [torch.distributions.MultivariateNormal(locs[:, d], covariances[d]) for d in range(3)]

    def log_evidence(z: Tensor) -> float:
        gradients = locs + z
        names = [f"gradient_s_{step}" for step in range(1, steps)] + ["gradient_s"]
        values = dict(zip(names, gradients, strict=True))
        joint = log_joint(lambda o: filtered_program(o, phi), {"s": case}, values)
        return joint - sum(posteriors[d].log_prob(gradients[:, d]).item() for d in range(3))

    assert log_evidence(torch.randn(steps, 3)) == pytest.approx(log_evidence(torch.zeros(steps, 3)), abs=1e-6)


def test_nuts_agrees_with_the_filter_on_five_steps_of_three_dimensions():
    """2 comparisons in each of 3 dimensions, 5 standard errors as above: 4e-6 a run."""
    case, phi = sequence(), 0.8
    pyro.set_rng_seed(0)
    draws = infer_nuts({"s": case}, lambda o: filtered_program(o, phi), samples=150, warmup=80)["s"]
    assert draws.shape == (150, 3)
    for loc, variance in (filtered(case, phi), kalman(case, phi)):
        assert_draws_fit(draws, loc, variance, effective_size(draws))


def test_several_sources_are_filtered_in_one_program():
    observed = {"image": sequence(1, 1), "sound": sequence(2, 2)}
    names = [n for n in poutine.trace(filtered_program).get_trace(observed).nodes if n.startswith("gradient")]
    assert names == ["gradient_image", "gradient_sound_1", "gradient_sound"]


def assert_within_a_tenth(actual: GradientPosterior, expected: GradientPosterior) -> None:
    assert bool(((actual.loc - expected.loc).abs() < 0.1 * expected.scale).all())
    assert bool(((actual.scale / expected.scale - 1).abs() < 0.1).all())


# Measured over 180 such problems of 1 to 400 dimensions, 20,520 dimensions in all: at worst 0.07 in the mean
# and 0.05 in the deviation; errors of the mean have deviation 0.018, so 0.1 is 5.5 of it. The 824 comparisons
# here would fail with probability 3e-5 if they were drawn anew.
@pytest.mark.parametrize("size", [1, 5, 200])
@pytest.mark.parametrize("conflict", [None, 6.0])
def test_variational_inference_ends_within_a_tenth_of_a_deviation(size, conflict):
    case = problem(size, size, conflict, exponent=-6 + size % 7)
    pyro.set_rng_seed(0)
    assert_within_a_tenth(VariationalRoute()(*case), normal_posterior(*case))


def test_variational_inference_agrees_for_a_prior_variance_a_dimension():
    case = proportional(0.8, [0.4, 1.5])
    pyro.set_rng_seed(0)
    assert_within_a_tenth(VariationalRoute()(*case), normal_posterior(*case))


def test_several_sources_are_inferred_at_once():
    observed = {"image": problem(3, 5), "sound": problem(2, 6, exponent=-5)}
    pyro.set_rng_seed(0)
    found = infer_svi(observed)
    assert found.keys() == observed.keys()
    for source, case in observed.items():
        assert_within_a_tenth(found[source], normal_posterior(*case))
        assert not found[source].loc.requires_grad


def test_variational_inference_is_equivariant_to_the_scale_of_the_loss():
    moments, prior = problem(4, 7)
    scaled = GradientMoments.from_variance(1e6 * moments.mean, 1e12 * moments.variance, 32, 31)
    route, found = VariationalRoute(steps=15), []
    for case in ((moments, prior), (scaled, GradientPrior(1e6 * prior.loc, 1e12 * prior.variance))):
        pyro.set_rng_seed(0)
        found.append(route(*case))
    torch.testing.assert_close(found[1].loc, 1e6 * found[0].loc)
    torch.testing.assert_close(found[1].variance, 1e12 * found[0].variance)


def test_the_parameter_store_is_left_untouched():
    own = pyro.param("shift_source", torch.tensor([7.0]))  # a name that the guide uses, too
    pyro.param("width", torch.tensor([2.0]), constraint=torch.distributions.constraints.positive)
    VariationalRoute(steps=3)(*problem(2, 0))
    infer_nuts({"source": problem(1, 0)}, samples=2, warmup=2)
    store = pyro.get_param_store()
    assert set(store.keys()) == {"shift_source", "width"}
    assert pyro.param("shift_source").item() == own.item() == 7.0
    assert pyro.param("width").item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VariationalRoute(0), "steps must be at least 1; found 0"),
        (lambda: VariationalRoute(lr=0.0), "lr must be positive; found 0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RangeError, match=message):
        make()
