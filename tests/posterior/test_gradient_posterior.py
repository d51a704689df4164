import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bogc.errors import DtypeError, NonFiniteError, ZeroVarianceError
from bogc.posterior import GradientPosterior

NUMBERS = st.floats(-1e3, 1e3)
VARIANCES = st.floats(1e-6, 1e6)


def posterior_of(pairs: list[tuple[float, float]]) -> GradientPosterior:
    loc, variance = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    return GradientPosterior(loc, variance)


@given(st.lists(st.tuples(NUMBERS, VARIANCES, NUMBERS), min_size=1, max_size=4))
def test_log_prob_is_that_of_scipy(triples):
    posterior = posterior_of([(loc, variance) for loc, variance, _ in triples])
    gradient = torch.tensor([g for *_, g in triples], dtype=torch.float64)
    expected = sum(stats.norm.logpdf(g, loc, v**0.5) for loc, v, g in triples)
    assert posterior.log_prob(gradient).item() == pytest.approx(expected, rel=1e-9)
    assert posterior.to_pyro().log_prob(gradient).item() == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.tuples(NUMBERS, VARIANCES), min_size=1, max_size=4))
def test_precision_and_scale_are_those_of_the_variance(pairs):
    posterior = posterior_of(pairs)
    torch.testing.assert_close(posterior.precision * posterior.variance, torch.ones(len(pairs)))
    torch.testing.assert_close(posterior.scale.square(), posterior.variance)


def test_to_pyro_is_one_event_of_all_dimensions():
    pyro = GradientPosterior(torch.zeros(4, 3), torch.ones(4, 3)).to_pyro()
    assert (pyro.batch_shape, pyro.event_shape) == ((4,), (3,))


def test_samples_have_the_mean_and_the_variance():
    """Mean of S draws: standard error sqrt(v/S); variance: v sqrt(2/(S - 1)). Four comparisons at 4.56
    standard errors (5e-6 each) fail together with probability 2e-5."""
    draws, posterior = 200_000, posterior_of([(3.0, 4.0), (-1e3, 1e-4)])
    sample = posterior.rsample([draws])
    assert sample.shape == (draws, 2)
    error = (sample.mean(0) - posterior.loc).abs() / (posterior.variance / draws).sqrt()
    assert bool((error < 4.56).all())
    ratio = sample.var(0) / posterior.variance
    assert bool(((ratio - 1).abs() < 4.56 * (2 / (draws - 1)) ** 0.5).all())


def test_samples_are_differentiable():
    loc, variance = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    sample = GradientPosterior(loc, variance).rsample()
    sample.sum().backward()
    torch.testing.assert_close(loc.grad, torch.ones(3))
    torch.testing.assert_close(variance.grad, sample.detach() / 2)  # d(sqrt(v) z)/dv = z / (2 sqrt v)


ONE = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loc", "variance", "error", "message"),
    [
        (ONE, 0 * ONE, ZeroVarianceError, r"variance must be positive; found 0 at index \[0\].*floor"),
        (ONE, -ONE, ZeroVarianceError, "variance must be positive; found -1"),
        (ONE * float("inf"), ONE, NonFiniteError, "loc must be finite"),
        (ONE, ONE * float("nan"), NonFiniteError, "variance must be finite"),
        (ONE, ONE.float(), DtypeError, "must have one dtype"),
    ],
)
def test_impossible_posteriors_are_refused(loc, variance, error, message):
    with pytest.raises(error, match=message):
        GradientPosterior(loc, variance)
