"""Weighted means against the weights of the chain of objects."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration import PosteriorMean
from bogc.calibration.accumulator import Source
from bogc.calibration.closed_form import MEANS, VALUES
from bogc.calibration.means import BeliefMean
from bogc.posterior import GradientPosterior
from tests.calibration.test_certainties import source, value

NUMBERS = st.tuples(st.floats(1e-6, 1e6), st.floats(-5, 5))


@pytest.mark.parametrize("aggregated", VALUES)
@pytest.mark.parametrize("kind", MEANS)
@given(pairs=st.lists(NUMBERS, min_size=1, max_size=6))
def test_a_mean_is_the_weighted_sum_of_what_is_aggregated(kind, aggregated, pairs):
    sources = [source(*pair) for pair in pairs]
    posteriors = [GradientPosterior(s.belief * s.gradient, s.belief * s.noise / 2) for s in sources]
    weights = kind()(torch.stack([s.belief for s in sources]), posteriors)
    chosen = [
        p.loc if aggregated is PosteriorMean else s.gradient for s, p in zip(sources, posteriors, strict=True)
    ]
    expected = sum(w * g for w, g in zip(weights, chosen, strict=True))
    gradients = [s.gradient.clone() for s in sources]
    found = value(MEANS[kind](VALUES[aggregated]), sources)
    assert all(map(torch.equal, gradients, [s.gradient for s in sources]))
    assert found == pytest.approx(expected.item(), rel=1e-10, abs=1e-10)


def test_where_nobody_believes_anything_the_mean_is_zero():
    one = torch.ones(1, dtype=torch.float32)
    nobody = Source(3 * one, one, 0 * one, 0 * one)
    assert value(BeliefMean(), [nobody, nobody, nobody]) == 0


@pytest.mark.parametrize("mean", MEANS.values())
@pytest.mark.parametrize("noise", [1e-30, 1e30])
def test_no_precision_overflows(mean, noise):
    one = torch.ones(1, dtype=torch.float32)
    sources = [Source(one, one * noise, one * noise, one / 2) for _ in range(8)]
    assert value(mean(), sources) == pytest.approx(0.5)
