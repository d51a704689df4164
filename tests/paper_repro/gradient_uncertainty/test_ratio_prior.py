import pytest
import torch

from bogc.gradients import GradientMoments
from bogc.posterior import NormalRoute
from paper_repro.gradient_uncertainty.ratio_prior import RatioPrior


def moments(ratio: float, dimensions: int = 20_001) -> GradientMoments:
    noise = torch.rand(dimensions) + 0.1
    gradient = (ratio * noise).sqrt() * torch.randn(dimensions)
    mean = gradient + noise.sqrt() * torch.randn(dimensions)
    return GradientMoments.from_variance(mean, noise * 64, 64, 63)


def test_it_finds_the_ratio_and_shrinks_all_dimensions_alike():
    seen = moments(2.0)
    prior, _ = RatioPrior().propose(seen, {})
    # the median of 20,001 squared Normals has relative sd .016; the tolerance is over 4.3 of them, of 3
    assert float((prior.variance / seen.noise).mean()) == pytest.approx(2.0, abs=0.25)
    kept = NormalRoute()(seen, prior).loc / seen.mean
    torch.testing.assert_close(kept, kept[:1].expand_as(kept))


def test_noise_alone_stays_at_the_floor_or_near():
    seen = moments(0.0)
    prior, _ = RatioPrior(floor=1e-3).propose(seen, {})
    assert 1e-3 <= float((prior.variance / seen.noise).mean()) < 0.1


def test_it_averages_over_steps_and_forgets():
    first, second = moments(1.0), moments(5.0)
    prior, state = RatioPrior(decay=0.5).propose(first, {})
    _, state = RatioPrior(decay=0.5).propose(second, state)
    alone = [float((RatioPrior().propose(m, {})[0].variance / m.noise)[0]) + 1 for m in (first, second)]
    expected = (0.5 * alone[0] + alone[1]) / 1.5
    assert float(state["ratio"] / state["weight"]) == pytest.approx(expected)
    assert prior.loc.abs().max() == 0
