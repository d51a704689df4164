"""The limits and symmetries of the calibrated update; what it does not have, by counterexample."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief import DimensionsFrame, DirichletBelief, Evidence, Opinion, ReliabilityFrame, SignFrame
from bogc.belief import PseudoCount as Map
from bogc.calibration import CONSERVATISMS, WEIGHTS, Pipeline, calibrate, calibrate_block
from bogc.combination import reduced
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPosterior, GradientPrior
from tests.calibration.problems import Problem, problems, solve
from tests.properties.strategies import tensor

CLOSE = {"rtol": 1e-12, "atol": 1e-9}


def assert_certainty_recovers_plain_sum(problem: Problem) -> None:
    means, _, positives = problem
    found = solve(means, torch.zeros_like(means), positives).direction
    torch.testing.assert_close(found, means.sum(0), **CLOSE)


def assert_converges_to_plain_sum(problem: Problem, uncertainty: float) -> None:
    """Each weight and kappa is within a factor 1 +- 2 u of its limit, so the sum is within 8 u sum |mu|."""
    means, _, positives = problem
    found = solve(means, torch.full_like(means, uncertainty), positives).direction
    bound = 8 * uncertainty * means.abs().sum(0) + 1e-9
    assert bool(((found - means.sum(0)).abs() <= bound).all())


def assert_vacuous_source_ignored(problem: Problem, other_means: torch.Tensor) -> None:
    """Whatever a source with u = 1 says, it changes neither the direction nor anybody's share."""
    means, uncertainties, positives = problem
    uncertainties[0] = 1
    found = solve(means, uncertainties, positives)
    changed = means.clone()
    changed[0] = other_means
    torch.testing.assert_close(solve(changed, uncertainties, positives).direction, found.direction, **CLOSE)
    assert float(found.weights[0].max()) < 1e-300  # next to nothing, so that nobody's belief is 1/M
    without = solve(means[1:], uncertainties[1:], positives[1:])
    torch.testing.assert_close(found.weights[1:], without.weights, **CLOSE)
    sources = len(means)
    torch.testing.assert_close(found.direction * (sources - 1), without.direction * sources, **CLOSE)


def assert_vacuity_gives_no_update(problem: Problem) -> None:
    means, _, positives = problem
    update = solve(means, torch.ones_like(means), positives)
    assert torch.equal(update.direction, torch.zeros_like(means[0]))


def assert_permutation_equivariant_in_sources(problem: Problem) -> None:
    found = solve(*(table.flip(0) for table in problem))
    expected = solve(*problem)
    torch.testing.assert_close(found.direction, expected.direction, **CLOSE)
    torch.testing.assert_close(found.weights, expected.weights.flip(0), **CLOSE)


def assert_permutation_equivariant_in_dimensions(problem: Problem, choices: dict[str, object]) -> None:
    found = solve(*(table.flip(1) for table in problem), **choices)
    torch.testing.assert_close(found.direction, solve(*problem, **choices).direction.flip(0), **CLOSE)


def assert_scale_equivariant(samples: list[torch.Tensor], scale: float, chain: Pipeline) -> None:
    """The whole chain from samples: scaling every loss scales the update and no weight."""
    updates = []
    for factor in (1.0, scale):
        moments = {str(m): GradientMoments.from_samples(factor * rows) for m, rows in enumerate(samples)}
        priors = {m: GradientPrior.centred(2 * seen.noise) for m, seen in moments.items()}
        updates.append(calibrate_block(moments, priors, chain).update)
    torch.testing.assert_close(updates[1].direction, scale * updates[0].direction, rtol=1e-9, atol=0)
    torch.testing.assert_close(updates[1].weights, updates[0].weights, rtol=1e-9, atol=0)


@given(problems())
def test_i_certainty_recovers_the_plain_sum(problem):
    assert_certainty_recovers_plain_sum(problem)


@given(problems(), st.sampled_from([1e-2, 1e-4, 1e-6]))
def test_i_the_plain_sum_is_approached_as_fast_as_uncertainty_vanishes(problem, uncertainty):
    assert_converges_to_plain_sum(problem, uncertainty)


@given(problems(least=2), st.floats(-1e200, 1e200))
def test_ii_a_vacuous_source_is_ignored_but_counted_in_m(problem, other_mean):
    """Its share is 0, yet kappa = M (1 - u) counts it: the others are M / (M - 1) times what they were."""
    assert_vacuous_source_ignored(problem, torch.full_like(problem[0][0], other_mean))


@given(problems())
def test_iii_vacuity_gives_no_update(problem):
    assert_vacuity_gives_no_update(problem)


@given(problems())
def test_iv_the_order_of_sources_does_not_matter(problem):
    assert_permutation_equivariant_in_sources(problem)


@given(problems(), st.sampled_from([*WEIGHTS.values()]), st.sampled_from([*CONSERVATISMS.values()]))
def test_iv_permuting_dimensions_permutes_the_update(problem, weights, conservatism):
    choices = {"weights": weights(), "conservatism": conservatism()}
    assert_permutation_equivariant_in_dimensions(problem, choices)


@pytest.mark.parametrize("frame", [SignFrame(), ReliabilityFrame(), DimensionsFrame()])
@pytest.mark.parametrize("scale", [1e-4, 0.3, 1e4])
def test_iv_rescaling_the_loss_rescales_the_update(frame, scale):
    samples = [torch.randn(8, 5) + shift for shift in (-1, 0.1, 2)]
    assert_scale_equivariant(samples, scale, Pipeline(evidence=Map(frame=frame)))


@given(problems())
def test_certain_and_opposed_sources_are_not_restrained_by_fused_certainty(problem):
    """Conflict alone does not shrink the step: the certainty of a fused opinion never falls."""
    means, uncertainties, positives = problem
    opposed = torch.where(torch.arange(len(means)).unsqueeze(1) % 2 == 0, positives, 1 - positives)
    kappa = solve(means, uncertainties, opposed).conservatism
    assert bool((kappa >= len(means) * (1 - uncertainties.amin(0)) * (1 - 1e-12)).all())


def certain_about_the_block(means: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Update of certain sources in the frame of dimensions, that share out their belief [M, D]."""
    opinions = [Opinion(share, torch.tensor(0.0), torch.full((2,), 0.5)) for share in shares]
    posteriors = [GradientPosterior(mean, torch.ones(2)) for mean in means]
    return calibrate(posteriors, opinions, reduced.combine(opinions), frame=DimensionsFrame()).direction


def test_i_is_false_in_the_frame_of_dimensions_unless_sources_share_their_belief_alike():
    """There b_d is a share of the block: certainty about the block is not certainty about each dimension."""
    means = tensor([[1.0, 3.0], [-1.0, -3.0]])
    alike, unlike = tensor([[0.75, 0.25], [0.75, 0.25]]), tensor([[0.75, 0.25], [0.25, 0.75]])
    assert certain_about_the_block(means, alike).tolist() == pytest.approx([0, 0])
    assert certain_about_the_block(means, unlike).tolist() == pytest.approx([1, -3])


def test_i_is_false_for_fused_agreement_where_certain_sources_oppose():
    means, certain = tensor([[1.0], [3.0]]), torch.zeros(2, 1)
    opposed = tensor([[0.75], [0.25]])
    update = solve(means, certain, opposed, conservatism=CONSERVATISMS["fused-agreement"]())
    assert update.direction.item() == pytest.approx(0)


def test_one_source_is_shrunk_by_its_own_belief():
    evidence = Evidence(torch.tensor([[6.0, 0.0], [0.0, 0.0]]), 2.0)
    own = Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))
    posterior = GradientPosterior(torch.tensor([4.0, 4.0]), torch.ones(2))
    assert calibrate([posterior], [own], own).direction.tolist() == pytest.approx([3, 0])
