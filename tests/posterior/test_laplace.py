import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.functional import hessian as hessian_of
from torch.nn import functional

from bogc.errors import NonFiniteError, RangeError, ZeroVarianceError
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior, Laplace, LaplaceRoute, categorical_ggn, empirical_fisher

D = 4


def quadratic(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Hessian, minimum and curvature of a random quadratic loss."""
    generator = torch.Generator().manual_seed(seed)
    root, minimum = torch.randn(D, D, generator=generator), torch.randn(D, generator=generator)
    return root @ root.T, minimum, torch.rand(D, generator=generator) + 0.1


def any_moments(count: float = 10.0) -> GradientMoments:
    return GradientMoments.from_variance(torch.ones(D), torch.ones(D), count, count - 1)


def test_quadratic_loss_gives_its_exact_gaussian():
    """g = H (theta - c) with theta ~ N(theta_hat, S) is N(H (theta_hat - c), H S H). Means have standard
    error sqrt(v / S), variances v sqrt(2 / (S - 1)); 8 comparisons at 4.71 standard errors (2.5e-6 each)
    fail together with probability 2e-5."""
    hessian, minimum, curvature = quadratic(0)
    centre, samples = torch.ones(D), 20_000
    laplace = Laplace(lambda theta: hessian @ (theta - minimum), centre, 0.5, curvature, samples)
    posterior = laplace(any_moments())
    sigma = torch.diag(1 / (10 * curvature + 0.5))
    exact = torch.diag(hessian @ sigma @ hessian.T)
    error = (posterior.loc - hessian @ (centre - minimum)).abs() / (exact / samples).sqrt()
    assert bool((error < 4.71).all())
    assert bool(((posterior.variance / exact - 1).abs() < 4.71 * (2 / (samples - 1)) ** 0.5).all())


def test_a_sharp_posterior_gives_the_delta_method():
    """For a curved loss too: with N F = 1e8 the gradient is locally linear. Relative error of a variance
    from S draws: sqrt(2/(S - 1)); 4 comparisons at 4.57 of them fail together with probability 2e-5."""
    weight, samples = torch.tensor([0.3, -1.0, 2.0, 0.7]), 4000

    def loss(theta: Tensor) -> Tensor:
        return (theta * weight).sum().tanh() + theta.pow(4).sum()

    def gradient(theta: Tensor) -> Tensor:
        return weight * (1 - (theta * weight).sum().tanh().square()) + 4 * theta.pow(3)

    centre = torch.tensor([0.1, 0.2, -0.3, 0.4])
    posterior = Laplace(gradient, centre, 1.0, torch.full((D,), 1e8), samples)(any_moments(1.0))
    hessian = hessian_of(loss, centre)
    exact = hessian.square().sum(1) / (1e8 + 1)
    assert bool(((posterior.variance / exact - 1).abs() < 4.57 * (2 / (samples - 1)) ** 0.5).all())
    torch.testing.assert_close(posterior.loc, gradient(centre), atol=1e-4, rtol=0)


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.integers(2, 100))
def test_parameter_posterior_is_the_inverse_of_data_and_prior_precision(seed, precision, count):
    _, minimum, curvature = quadratic(seed)
    posterior = Laplace(torch.neg, minimum, precision, curvature).parameter_posterior(any_moments(count))
    torch.testing.assert_close(posterior.precision, count * curvature + precision)
    assert torch.equal(posterior.loc, minimum)


@given(st.integers(0, 2**31), st.integers(2, 9))
def test_empirical_fisher_is_the_mean_squared_gradient(seed, samples):
    rows = 3 + torch.randn(samples, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(empirical_fisher(GradientMoments.from_samples(rows)), rows.square().mean(0))


def test_without_curvature_the_empirical_fisher_is_used():
    layer = nn.Linear(3, 1)
    losses = layer(torch.randn(6, 3)).square().squeeze(1)
    parameters = tuple(layer.parameters())
    rows = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
    stacked = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])
    moments, fisher = GradientMoments.from_samples(stacked), stacked.square().mean(0)
    posterior = Laplace(torch.neg, torch.zeros(4), 2.0).parameter_posterior(moments)
    torch.testing.assert_close(posterior.precision, 6 * fisher + 2.0)


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(2, 4))
def test_categorical_ggn_is_the_hessian_diagonal_of_a_linear_layer(seed, samples, classes):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(samples, 3, generator=generator)
    theta = torch.randn(3 * classes + classes, generator=generator)
    targets = torch.randint(classes, (samples,), generator=generator)

    def logits(theta: Tensor) -> Tensor:
        return features @ theta[: 3 * classes].view(classes, 3).T + theta[3 * classes :]

    hessian = hessian_of(lambda t: functional.cross_entropy(logits(t), targets), theta)
    torch.testing.assert_close(categorical_ggn(features, logits(theta)), torch.diag(hessian))


def test_a_generator_makes_the_draws_repeatable():
    hessian, minimum, curvature = quadratic(1)

    def run() -> Tensor:
        generator = torch.Generator().manual_seed(3)
        gradient = Laplace(lambda t: hessian @ t, minimum, 1.0, curvature, 5, generator)
        return gradient(any_moments()).loc

    assert torch.equal(run(), run())


def test_a_linear_loss_has_no_gradient_variance():
    laplace = Laplace(lambda theta: torch.ones(D), torch.zeros(D), 1.0, torch.ones(D))
    with pytest.raises(ZeroVarianceError, match="variance must be positive"):
        laplace(any_moments())


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"prior_precision": 0.0}, RangeError, "prior_precision must be positive; found 0.0. Use the weight"),
        ({"samples": 1}, RangeError, "samples must be at least 2"),
        ({"curvature": -torch.ones(D)}, RangeError, "curvature must not be negative; found -1"),
        ({"curvature": torch.ones(D) / 0}, NonFiniteError, "curvature must be finite"),
        ({"centre": torch.ones(D) / 0}, NonFiniteError, "centre must be finite"),
    ],
)
def test_impossible_settings_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        Laplace(**{"gradient": torch.neg, "centre": torch.zeros(D), **fields})


PRIOR = GradientPrior.centred(torch.ones(1))


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.integers(2, 100))
def test_the_route_is_the_exact_push_forward_of_quadratic_losses(seed, precision, count):
    """With a diagonal Hessian that equals the empirical Fisher, H Sigma H is exact."""
    _, minimum, spread = quadratic(seed)
    moments = GradientMoments.from_variance(minimum, spread, count, count - 1)
    sampled = Laplace(torch.neg, minimum, precision).parameter_posterior(moments)
    posterior = LaplaceRoute(precision)(moments, PRIOR)
    torch.testing.assert_close(posterior.variance, empirical_fisher(moments).square() * sampled.variance)
    assert torch.equal(posterior.loc, moments.mean)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_route_stays_positive_and_finite_where_squares_leave_the_range(dtype):
    """Squares of 1e-20 and 1e17 leave float32; v must not, and is F / N where N F >> tau0."""
    moments = GradientMoments.from_variance(
        torch.tensor([0.0, 1e-20, 1e17], dtype=dtype), torch.tensor([0, 1e-40, 1e34], dtype=dtype), 10, 9
    )
    variance = LaplaceRoute()(moments, GradientPrior.centred(torch.ones(1, dtype=dtype))).variance
    assert bool((variance > 0).all())
    assert bool(variance.isfinite().all())
    torch.testing.assert_close(variance[2].double(), torch.tensor(1.9e33), rtol=0.02, atol=0)


def test_the_route_refuses_a_prior_precision_of_zero():
    with pytest.raises(RangeError, match=r"prior_precision must be positive; found 0.0. Use the weight"):
        LaplaceRoute(0.0)
