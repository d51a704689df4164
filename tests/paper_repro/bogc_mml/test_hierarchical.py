import math

import numpy as np
import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyro import distributions as dist
from pyro import poutine

from bogc.errors import NonFiniteError, RangeError, TooFewSamplesError
from paper_repro.bogc_mml.hierarchical import REGION, posterior, program

FOLDS = 5


def differences(centre: float, spread: float, noise: float, sets: int = 5, folds: int = FOLDS) -> np.ndarray:
    generator = np.random.default_rng(0)
    means = centre + spread * generator.standard_normal((sets, 1))
    return means + noise * generator.standard_normal((sets, folds))


def by_importance_sampling(values: np.ndarray, count: int = 60_000) -> tuple[np.ndarray, float]:
    """Probabilities of the three regions from the Pyro program, and the effective number of draws."""
    data = torch.tensor(values)
    mean, spread = data.mean(1), data.std(1).clamp_min(1e-3)
    centre, between = mean.mean(), mean.std().clamp_min(2e-3)
    proposals = {
        "delta_0": dist.StudentT(2.0, centre, between).expand([count, 1]),
        "sigma_0": dist.LogNormal(between.log(), 1.2).expand([count, 1]),
        "nu": dist.Gamma(1.0, 0.0345).expand([count, 1]),
        "sigma": dist.LogNormal(spread.log() + 0.2, 0.6).expand([count, len(values)]),
        "delta": dist.StudentT(5.0, mean, spread * 0.6).expand([count, len(values)]),
    }
    pyro.set_rng_seed(0)
    drawn = {name: proposal.sample() for name, proposal in proposals.items()}
    drawn["delta_0"], drawn["sigma_0"] = drawn["delta_0"].clamp(-1, 1), drawn["sigma_0"].clamp(max=1)
    with pyro.plate("particles", count, dim=-2):
        trace = poutine.trace(poutine.condition(program, drawn)).get_trace(data, FOLDS)
    trace.compute_log_prob()
    logs = sum(trace.nodes[name]["log_prob"].sum(-1) for name in (*proposals, "x"))
    logs = logs - sum(proposal.log_prob(drawn[name]).sum(-1) for name, proposal in proposals.items())
    weight = (logs - logs.max()).exp()
    weight /= weight.sum()
    found = drawn["delta_0"][:, 0]
    regions = (found < -REGION, found.abs() <= REGION, found > REGION)
    shares = np.array([float(weight[region].sum()) for region in regions])
    return shares, 1 / float(weight.square().sum())


@pytest.mark.parametrize(
    ("centre", "spread", "noise"), [(0.02, 0.02, 0.015), (0.0, 0.003, 0.01), (-0.012, 0.004, 0.02)]
)
def test_the_quadrature_agrees_with_the_pyro_program(centre: float, spread: float, noise: float):
    """At 300 effective draws a share is off by more than .12 with probability below 1e-4."""
    values = differences(centre, spread, noise, sets=3)
    expected, effective = by_importance_sampling(values)
    found = posterior(values.tolist(), FOLDS)
    assert effective > 300
    allowed = 4 * math.sqrt(0.25 / effective)
    assert [found.below, found.within, found.above] == pytest.approx(expected, abs=allowed)


@settings(max_examples=15)
@given(st.floats(-0.05, 0.05), st.floats(0.001, 0.03), st.integers(2, 5))
def test_probabilities_sum_to_one_and_exchanging_the_pair_mirrors_them(centre, noise, folds):
    values = differences(centre, 0.01, noise, folds=folds)
    one, other = posterior(values.tolist(), FOLDS), posterior((-values).tolist(), FOLDS)
    assert one.below + one.within + one.above == pytest.approx(1)
    assert (one.below, one.within, one.above) == pytest.approx(
        (other.above, other.within, other.below), abs=1e-9
    )
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low), abs=1e-9)


def test_large_leads_small_differences_and_little_data_are_told_apart():
    lead = posterior(differences(0.05, 0.005, 0.005).tolist(), FOLDS)
    assert lead.above > 0.97
    assert lead.low < 0.05 < lead.high
    assert posterior(differences(0.0, 0.001, 0.003).tolist(), FOLDS).within > 0.95
    one_fold = posterior(differences(0.02, 0.005, 0.01, folds=1).tolist(), FOLDS)
    assert max(one_fold.below, one_fold.within, one_fold.above) < 0.95


def test_folds_that_share_training_data_count_less():
    """At the same spread, correlated folds say less: the interval of the mean is wider."""
    values = differences(0.02, 0.0, 0.02, sets=2)
    correlated, nearly_independent = posterior(values.tolist(), 2), posterior(values.tolist(), 1_000)
    assert correlated.high - correlated.low > nearly_independent.high - nearly_independent.low


@pytest.mark.parametrize(
    ("values", "folds", "error", "message"),
    [
        ([[0.1, 0.2]], 5, TooFewSamplesError, "two data sets or more, with a fold each; found 1 data sets"),
        ([[0.1], []], 5, TooFewSamplesError, "the smallest of 0 folds"),
        ([[0.1], [math.nan]], 5, NonFiniteError, "differences must be finite"),
        ([[0.1], [0.2]], 1, RangeError, "folds must be at least 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(values, folds, error, message):
    with pytest.raises(error, match=message):
        posterior(values, folds)
