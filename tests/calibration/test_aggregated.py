import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration import AGGREGATED, BatchMean, NoConservatism, Pipeline, PosteriorMean, calibrate_block
from bogc.gradients import GradientMoments
from bogc.posterior import FixedPrior, GradientPosterior


def moments(seed: int, noise: float = 1.0) -> GradientMoments:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(6, generator=generator)
    return GradientMoments.from_variance(mean, noise * torch.rand(6, generator=generator) + 0.01, 8, 7)


def test_each_gives_what_its_name_says():
    seen, posterior = moments(0), GradientPosterior(torch.zeros(6), torch.ones(6))
    assert BatchMean()(seen, posterior) is seen.mean
    assert PosteriorMean()(seen, posterior) is posterior.loc
    assert {"posterior-mean": PosteriorMean, "batch-mean": BatchMean} == AGGREGATED


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_one_source_is_shrunk_once_and_by_the_least_risk_factor(seed: int, scale: float):
    seen, prior = moments(seed), FixedPrior(scale)
    found, _ = calibrate_block({"a": seen}, {}, Pipeline(prior=prior, aggregated=BatchMean()))
    best, _ = calibrate_block(
        {"a": seen}, {}, Pipeline(prior=prior, conservatism=NoConservatism(), aggregated=PosteriorMean())
    )
    torch.testing.assert_close(found.update.direction, best.update.direction)


@given(st.integers(0, 2**31))
def test_without_noise_both_give_the_plain_sum(seed: int):
    sources = {"a": moments(seed, 0.0), "b": moments(seed, 0.0)}
    exact = {n: GradientMoments.from_variance(m.mean, 1e-12 * m.variance, 8, 7) for n, m in sources.items()}
    for kind in AGGREGATED.values():
        found, _ = calibrate_block(exact, {}, Pipeline(prior=FixedPrior(1.0), aggregated=kind()))
        torch.testing.assert_close(found.update.direction, 2 * sources["a"].mean, rtol=1e-6, atol=0)
