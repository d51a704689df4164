import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import Tensor

from bogc.errors import DtypeError, NonFiniteError, RangeError, ShapeError, ZeroVarianceError
from bogc.gradients import GradientMoments
from bogc.posterior import (
    BlockPrior,
    DimensionPrior,
    EmpiricalBayes,
    FilteredPrior,
    FixedPrior,
    GradientPrior,
    PriorPolicy,
    normal_posterior,
)

POLICIES = {"block": BlockPrior(), "dimension": DimensionPrior(), "fixed": FixedPrior(2.0)}
SEEDS = st.integers(0, 2**31)


def moments_of(mean: Tensor, noise: Tensor, count: float = 16.0) -> GradientMoments:
    return GradientMoments.from_variance(mean, noise.expand_as(mean) * count, count, count - 1)


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def maximum_likelihood(mean: Tensor, noise: Tensor) -> float:
    """Slow oracle: search for the tau^2 under which the batch means are most likely."""

    def cost(log_variance: float) -> float:
        scale = (10**log_variance + noise).sqrt()
        return -stats.norm.logpdf(mean.numpy(), 0, scale.numpy()).sum()

    return 10 ** optimize.minimize_scalar(cost, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9}).x


@given(SEEDS, st.floats(0.05, 20), st.integers(1, 6))
def test_block_prior_maximises_the_marginal_likelihood_of_equally_noisy_dimensions(seed, scale, size):
    mean, noise = scale * draws(seed, size), torch.tensor([0.3])
    expected = max(maximum_likelihood(mean, noise), 1e-3 * 0.3)
    prior, _ = BlockPrior().propose(moments_of(mean, noise), {})
    assert prior.variance.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(SEEDS, st.lists(st.floats(0.01, 3), min_size=3, max_size=3))
def test_dimension_prior_maximises_it_in_each_dimension(seed, noises):
    mean, noise = 2 * draws(seed, 3), torch.tensor(noises, dtype=torch.float64)
    prior, _ = DimensionPrior().propose(moments_of(mean, noise), {})
    for d in range(3):
        expected = max(maximum_likelihood(mean[d : d + 1], noise[d : d + 1]), 1e-3 * noise[d].item())
        assert prior.variance[d].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_with_unequal_noise_it_is_not_the_maximum_but_still_unbiased():
    """mean(g^2 - noise) has expectation tau^2 and variance 2 mean((tau^2 + noise)^2) / D; 4.27 standard
    errors fail with probability 2e-5. One seed shows that the maximum of the likelihood is elsewhere."""
    size, tau = 200_000, 0.5
    noise = torch.linspace(0.01, 4, size)
    mean = draws(3, size) * (tau + noise).sqrt()
    found = BlockPrior().propose(moments_of(mean, noise), {})[0].variance.item()
    assert abs(found - tau) < 4.27 * (2 * (tau + noise).square().mean().item() / size) ** 0.5
    few = slice(None, None, size // 40)
    small = BlockPrior().propose(moments_of(mean[few], noise[few]), {})[0].variance.item()
    assert small != pytest.approx(maximum_likelihood(mean[few], noise[few]), rel=1e-2)


@pytest.mark.parametrize("policy", [BlockPrior(0.99), DimensionPrior(0.99)])
def test_scale_is_recovered_over_steps(policy):
    """Gradients of known tau^2 seen through noise. The weighted mean over steps of g^2 - noise, pooled over
    D, has relative standard error (1 + noise/tau^2) sqrt(2 sum(w^2) / D), sum(w^2) = (1 - .99) / (1 + .99)
    for a long stream; 4.27 of them fail with probability 2e-5 (the mean over D serves both policies)."""
    size, tau, noise, state = 200, 0.04, 0.08, {}
    for step in range(800):
        mean = tau**0.5 * draws(2 * step, size) + noise**0.5 * draws(2 * step + 1, size)
        prior, state = policy.propose(moments_of(mean, torch.tensor([noise])), state)
    error = (1 + noise / tau) * (2 * 0.01 / 1.99 / size) ** 0.5
    assert abs(prior.variance.mean().item() / tau - 1) < 4.27 * error


def test_a_gradient_of_pure_noise_keeps_its_uncertainty():
    """The trap: with the noise left in tau^2 the shrinkage is 1/2 whatever the data. Here tau^2 estimates 0
    with standard error noise sqrt(2/D), so tau^2/noise < 4.27 sqrt(2/D) = 0.043 but for 1e-5."""
    mean, noise = 1e-3 * draws(0, 20_000), torch.tensor([1e-6])
    moments = moments_of(mean, noise)
    prior, _ = BlockPrior().propose(moments, {})
    left = normal_posterior(moments, prior).variance / prior.variance
    assert left.min().item() > 1 - 0.043
    trap = GradientPrior.centred(mean.square().mean().reshape(1))
    assert (normal_posterior(moments, trap).variance / trap.variance).max().item() < 0.52


@given(SEEDS, st.floats(0, 0.99), st.integers(1, 8))
@pytest.mark.parametrize("make", [BlockPrior, DimensionPrior])
def test_state_is_an_explicit_weighted_sum(make, seed, decay, steps):
    means, noises = draws(seed, steps, 3), draws(seed + 1, steps, 3).square() + 0.01
    state = {}
    for mean, noise in zip(means, noises, strict=True):
        prior, state = make(decay).propose(moments_of(mean, noise), state)
    weights = decay ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
    share = (weights / weights.sum()).unsqueeze(1)
    square, noise = (share * means.square()).sum(0), (share * noises).sum(0)
    if make is BlockPrior:
        square, noise = square.mean().reshape(1), noise.mean().reshape(1)
    torch.testing.assert_close(prior.variance, torch.maximum(square - noise, 1e-3 * noise))


@given(SEEDS, st.floats(1e-3, 1e3))
@pytest.mark.parametrize("policy", [BlockPrior(), DimensionPrior(), FilteredPrior()])
def test_rescaling_the_loss_rescales_the_scale(policy, seed, factor):
    def run(factor: float) -> Tensor:
        state = {}
        for step in range(4):
            moments = moments_of(factor * draws(seed + step, 3), factor**2 * torch.tensor([0.2]))
            prior, state = policy.propose(moments, state)
            state = policy.absorb(state, normal_posterior(moments, prior))
        return prior.variance

    torch.testing.assert_close(run(factor) / factor**2, run(1.0))


def test_a_fixed_prior_is_fixed():
    moments = moments_of(torch.randn(3), torch.ones(1))
    prior, state = FixedPrior(2.5).propose(moments, {})
    assert torch.equal(prior.variance, torch.tensor([2.5]))
    assert torch.equal(prior.loc, torch.zeros(1))
    assert state == {}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_proposing_leaves_the_state_alone_and_centres_at_zero(policy: PriorPolicy):
    moments = moments_of(torch.randn(3), torch.ones(1))
    _, state = policy.propose(moments, {})
    before = {name: value.clone() for name, value in state.items()}
    prior, following = policy.propose(moments, state)
    for name, value in before.items():
        assert torch.equal(state[name], value)
    assert not bool(prior.loc.any())
    assert policy.absorb(following, normal_posterior(moments, prior)) == following


@pytest.mark.parametrize("policy", [*POLICIES.values(), FilteredPrior()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dead_block_gets_a_valid_prior(policy, dtype):
    moments = GradientMoments.from_samples(torch.zeros(4, 3, dtype=dtype)).floored()
    prior, _ = policy.propose(moments, {})
    GradientPrior(prior.loc, prior.variance)
    assert prior.variance.dtype == dtype
    posterior = normal_posterior(moments, prior)
    assert not bool(posterior.loc.any())
    assert bool((posterior.variance > 0).all())


ONE = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loc", "variance", "error", "message"),
    [
        (ONE, 0 * ONE, ZeroVarianceError, "prior variance must be positive"),
        (ONE / 0, ONE, NonFiniteError, "prior loc must be finite"),
        (ONE, ONE.float(), DtypeError, "prior must have one dtype"),
        (ONE, torch.ones(3, dtype=torch.float64), ShapeError, "prior must have shapes that broadcast"),
    ],
)
def test_impossible_priors_are_refused(loc, variance, error, message):
    with pytest.raises(error, match=message):
        GradientPrior(loc, variance)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedPrior(0.0), "variance must be positive; found 0"),
        (lambda: BlockPrior(1.0), r"decay must lie in \[0, 1\); found 1"),
        (lambda: DimensionPrior(-0.1), r"decay must lie in \[0, 1\)"),
        (lambda: BlockPrior(0.9, 0.0), "floor must be positive"),
        (lambda: FilteredPrior(0.0), "process must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RangeError, match=message):
        make()


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        EmpiricalBayes()
