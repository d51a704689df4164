import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.belief import (
    EVIDENCE_MAPS,
    MOST_EVIDENCE,
    DimensionsFrame,
    DirichletBelief,
    Evidence,
    EvidenceMap,
    Identity,
    LogPrecision,
    Opinion,
    Power,
    PseudoCount,
    RelativePrecision,
    ReliabilityFrame,
    SignalToNoise,
    SignFrame,
    UnitDimensionsFrame,
)
from bogc.errors import FrameError, RangeError
from bogc.gradients import ONE_BLOCK, GradientMoments
from bogc.posterior import GradientPosterior, GradientPrior, normal_posterior
from tests.properties.strategies import PRIOR_WEIGHTS, vectors

POSITIVE = st.floats(1e-2, 1e2)
COUNTS = st.integers(1, 200)
ONE_PER_DIMENSION = [SignFrame(), ReliabilityFrame()]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Sample mean, variance of one sample's gradient, and prior variance around zero, each [D]."""
    size = draw(st.integers(2, 4))
    return draw(vectors(size, st.floats(-5, 5))), draw(vectors(size, POSITIVE)), draw(vectors(size, POSITIVE))


def conditioned(
    mean: Tensor, variance: Tensor, prior_variance: Tensor, count: int
) -> tuple[GradientPosterior, GradientPrior]:
    """Posterior and prior of a batch of ``count`` with a known variance, after a prior around zero."""
    prior = GradientPrior.centred(prior_variance)
    return normal_posterior(GradientMoments.from_variance(mean, variance, float(count), 1.0), prior), prior


def amount(chosen: EvidenceMap, posterior: GradientPosterior, prior: GradientPrior) -> Tensor:
    return chosen.amount(posterior, prior, ONE_BLOCK)


def opinion(evidence: Evidence) -> Opinion:
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))


@given(problems(), COUNTS, PRIOR_WEIGHTS)
def test_pseudo_count_is_w_n_tau2_over_sigma2(problem, count, weight):
    _, variance, prior_variance = problem
    found = amount(PseudoCount(weight), *conditioned(*problem, count))
    torch.testing.assert_close(found, weight * count * prior_variance / variance, rtol=1e-10, atol=0)


@given(problems(), PRIOR_WEIGHTS, st.sampled_from(ONE_PER_DIMENSION))
def test_pseudo_count_is_zero_without_data(problem, weight, frame):
    mean, _, prior_variance = problem
    evidence = PseudoCount(weight, frame)(
        GradientPosterior(mean, prior_variance), GradientPrior.centred(prior_variance)
    )
    least = 4 * torch.finfo(torch.float64).eps * weight  # rounding of tau^2 / v
    torch.testing.assert_close(evidence.values, torch.zeros(len(mean), 2), rtol=0, atol=least)


@given(problems(), COUNTS, COUNTS, PRIOR_WEIGHTS)
def test_pseudo_count_adds_over_independent_batches(problem, first, second, weight):
    first_part, second_part, whole = (
        amount(PseudoCount(weight), *conditioned(*problem, count))
        for count in (first, second, first + second)
    )
    torch.testing.assert_close(whole, first_part + second_part, rtol=1e-9, atol=0)


@given(problems(), COUNTS, st.floats(1e-4, 1e4), st.sampled_from(ONE_PER_DIMENSION))
def test_pseudo_count_is_invariant_to_rescaling_the_loss(problem, count, scale, frame):
    mean, variance, prior_variance = problem
    rescaled = (scale * mean, scale**2 * variance, scale**2 * prior_variance)
    found = PseudoCount(frame=frame)(*conditioned(*rescaled, count))
    expected = PseudoCount(frame=frame)(*conditioned(*problem, count))
    torch.testing.assert_close(found.values, expected.values, rtol=1e-9, atol=1e-12)


@given(problems(), COUNTS, PRIOR_WEIGHTS, st.sampled_from(ONE_PER_DIMENSION))
def test_pseudo_counts_uncertainty_is_the_share_of_prior_variance_left(problem, count, weight, frame):
    posterior, prior = conditioned(*problem, count)
    found = opinion(PseudoCount(weight, frame)(posterior, prior)).uncertainty
    torch.testing.assert_close(found, posterior.variance / prior.variance, rtol=1e-10, atol=0)


@given(problems(), COUNTS, PRIOR_WEIGHTS, st.sampled_from(ONE_PER_DIMENSION))
def test_pseudo_counts_belief_is_the_shrinkage_factor_of_a_prior_around_zero(problem, count, weight, frame):
    posterior, prior = conditioned(*problem, count)
    belief = opinion(PseudoCount(weight, frame)(posterior, prior)).belief.sum(-1)
    torch.testing.assert_close(posterior.loc, belief * problem[0], rtol=1e-9, atol=1e-12)


@given(problems(), COUNTS, PRIOR_WEIGHTS)
def test_pseudo_count_over_w_plus_one_is_the_ratio_of_precisions(problem, count, weight):
    """1 + e/W = Lambda / Lambda0, so that Dempster's rule on simple supports multiplies these ratios."""
    posterior, prior = conditioned(*problem, count)
    evidence = PseudoCount(weight, ReliabilityFrame())(posterior, prior)
    expected = posterior.precision / prior.variance.reciprocal()
    torch.testing.assert_close(1 + evidence.values[..., 0] / weight, expected, rtol=1e-10, atol=0)


MEAN, V, TAU2 = [3.0, -0.5], [0.25, 0.5], [2.0, 4.0]
FORMULAS = {
    PseudoCount: lambda m, v, t: 2 * (t / v - 1),
    RelativePrecision: lambda m, v, t: (1 / v) / ((1 / 0.25 + 1 / 0.5) / 2),
    LogPrecision: lambda m, v, t: math.log(1 + t / v),
    SignalToNoise: lambda m, v, t: m**2 / v,
    Power: lambda m, v, t: v**-0.5,
    Identity: lambda m, v, t: 1 / v,
}


@pytest.mark.parametrize("kind", EVIDENCE_MAPS.values())
def test_every_map_is_the_formula_of_the_table(kind):
    posterior = GradientPosterior(torch.tensor(MEAN), torch.tensor(V))
    prior = GradientPrior.centred(torch.tensor(TAU2))
    expected = [FORMULAS[kind](m, v, t) for m, v, t in zip(MEAN, V, TAU2, strict=True)]
    assert amount(kind(), posterior, prior).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kind", EVIDENCE_MAPS.values())
@given(problem=problems(), count=COUNTS, scale=st.floats(1e-2, 1e2))
def test_every_map_but_the_powers_is_free_of_the_scale_of_the_loss(kind, problem, count, scale):
    rescaled = (scale * problem[0], scale**2 * problem[1], scale**2 * problem[2])
    found = amount(kind(), *conditioned(*rescaled, count))
    factor = {Power: scale**-1, Identity: scale**-2}.get(kind, 1)
    expected = factor * amount(kind(), *conditioned(*problem, count))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", EVIDENCE_MAPS.values())
@pytest.mark.parametrize("frame", [SignFrame(), ReliabilityFrame(), DimensionsFrame(), UnitDimensionsFrame()])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_every_map_on_every_frame_gives_evidence(kind, frame, batch):
    posterior = GradientPosterior(torch.randn(*batch, 5), torch.rand(*batch, 5) + 1e-3)
    evidence = kind(3.0, frame)(posterior, GradientPrior.centred(2 * torch.ones(1)))
    checked = Evidence(evidence.values, evidence.prior_weight)
    hypotheses = () if isinstance(frame, DimensionsFrame) else (2,)
    assert checked.values.shape == (*batch, 5, *hypotheses)
    assert checked.prior_weight == 3


def test_log_precision_is_log_two_without_data():
    posterior = GradientPosterior(torch.ones(1), torch.ones(1))
    assert amount(LogPrecision(), posterior, GradientPrior.centred(torch.ones(1))).item() == math.log(2)


def test_rounding_above_the_prior_variance_is_no_negative_evidence():
    posterior = GradientPosterior(torch.ones(2), torch.tensor([1.0 + 2**-52, 1.0]))
    evidence = PseudoCount(frame=ReliabilityFrame())(posterior, GradientPrior.centred(torch.ones(1)))
    assert not bool(evidence.values.any())


def test_a_block_of_one_dimension_is_no_frame_of_dimensions():
    posterior = GradientPosterior(torch.ones(1), torch.ones(1))
    with pytest.raises(FrameError, match=r"evidence needs a frame of at least 2 hypotheses .* found 1. Name"):
        PseudoCount(frame=DimensionsFrame())(posterior, GradientPrior.centred(torch.ones(1)))


def test_a_map_has_a_positive_prior_weight():
    with pytest.raises(RangeError, match=r"prior_weight must be positive and finite; found 0.0. Use 2, or K"):
        PseudoCount(0.0)


@pytest.mark.parametrize("kind", EVIDENCE_MAPS.values())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_map_counts_more_than_the_most_evidence(kind, dtype):
    posterior = GradientPosterior(torch.ones(2, dtype=dtype), torch.full((2,), 1e-36, dtype=dtype))
    evidence = kind(frame=ReliabilityFrame())(posterior, GradientPrior.centred(torch.ones(1, dtype=dtype)))
    assert bool((evidence.values <= MOST_EVIDENCE).all())
    assert bool(evidence.values.isfinite().all())


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        EvidenceMap()


@given(problems(), COUNTS, st.floats(0.01, 1.0))
def test_a_power_is_that_of_the_precision_and_one_is_the_identity(problem, count, exponent):
    posterior, prior = conditioned(*problem, count)
    found = amount(Power(exponent=exponent), posterior, prior)
    torch.testing.assert_close(found, posterior.precision**exponent)
    one = amount(Power(exponent=1.0), posterior, prior)
    torch.testing.assert_close(one, amount(Identity(), posterior, prior), rtol=1e-15, atol=0)


@pytest.mark.parametrize("exponent", [0.0, -1.0, math.inf])
def test_a_power_has_a_positive_exponent(exponent):
    with pytest.raises(RangeError, match=r"exponent must be positive and finite; found .*\. Use 0.5"):
        Power(exponent=exponent)


@given(problems(), COUNTS, PRIOR_WEIGHTS)
def test_unit_dimensions_are_a_dirichlet_of_evidence_plus_one(problem, count, weight):
    """W = K = D, whatever W the evidence is kept in."""
    posterior, prior = conditioned(*problem, count)
    size = posterior.variance.shape[-1]
    if size < 2:
        return
    found = opinion(Power(weight, UnitDimensionsFrame())(posterior, prior))
    evidence = amount(Power(), posterior, prior)
    expected = opinion(Evidence(evidence, float(size)))
    torch.testing.assert_close(found.belief, expected.belief)
    torch.testing.assert_close(found.uncertainty, size / (size + evidence.sum(-1)))
