import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration import AGGREGATED, NoConservatism, Pipeline, calibrate_block
from bogc.calibration.pipeline import stack_moments
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPosterior, GradientPrior


def moments(seed: int, noise: float = 1.0) -> GradientMoments:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(6, generator=generator)
    return GradientMoments.from_variance(mean, noise * torch.rand(6, generator=generator) + 0.01, 8, 7)


def prior(scale: float) -> GradientPrior:
    return GradientPrior.centred(torch.full((6,), scale))


def test_each_gives_what_its_name_says():
    seen, posterior = (
        stack_moments([moments(0), moments(1)]),
        GradientPosterior(torch.zeros(2, 6), torch.ones(2, 6)),
    )
    assert Pipeline(aggregated="batch-mean").values(seen, posterior) is seen.mean
    assert Pipeline(aggregated="posterior-mean").values(seen, posterior) is posterior.loc
    assert set(AGGREGATED) == {"batch-mean", "posterior-mean"}


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_one_source_is_shrunk_once_and_by_the_least_risk_factor(seed: int, scale: float):
    seen, own = {"a": moments(seed)}, {"a": prior(scale)}
    found = calibrate_block(seen, own, Pipeline(aggregated="batch-mean"))
    chain = Pipeline(conservatism=NoConservatism(), aggregated="posterior-mean")
    torch.testing.assert_close(found.update.direction, calibrate_block(seen, own, chain).update.direction)


@given(st.integers(0, 2**31))
def test_without_noise_both_give_the_plain_sum(seed: int):
    seen = moments(seed)
    exact = GradientMoments.from_variance(seen.mean, 1e-12 * seen.variance, 8, 7)
    for kind in AGGREGATED:
        found = calibrate_block(
            {"a": exact, "b": exact}, {"a": prior(1.0), "b": prior(1.0)}, Pipeline(aggregated=kind)
        )
        torch.testing.assert_close(found.update.direction, 2 * seen.mean, rtol=1e-6, atol=0)
