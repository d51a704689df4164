from itertools import combinations

import pytest
import torch
from hypothesis import given

from bogc.belief import DirichletBelief, Evidence, Opinion, PseudoCount, ReliabilityFrame
from bogc.combination import cumulative, reduced
from bogc.errors import RangeError
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior, normal_posterior
from tests.properties import combination as theorem
from tests.properties.strategies import evidence_lists, opinion_lists, opinions


def opinion(evidence: Evidence) -> Opinion:
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))


def cross_terms(evidences: list[Evidence]) -> torch.Tensor:
    """Sum over two or more sources of W prod_m e_m / W: what the product has and the sum has not."""
    weight = evidences[0].prior_weight
    ratios = [e.values / weight for e in evidences]
    groups = [g for size in range(2, len(ratios) + 1) for g in combinations(ratios, size)]
    return weight * sum(torch.stack(group).prod(0) for group in groups)


@given(evidence_lists())
def test_combine_is_bayesian_addition_of_evidence(evidences):
    total = Evidence(torch.stack([e.values for e in evidences]).sum(0), evidences[0].prior_weight)
    theorem.assert_same_opinion(cumulative.combine([opinion(e) for e in evidences]), opinion(total), 1e-11)


@given(evidence_lists())
def test_dempster_is_cumulative_plus_cross_terms(evidences):
    added = torch.stack([e.values for e in evidences]).sum(0)
    expected = added + cross_terms(evidences)
    torch.testing.assert_close(reduced.combine_evidence(evidences).values, expected, rtol=1e-12, atol=0)


@given(opinion_lists(most=4))
def test_combine_is_commutative(opinions):
    theorem.assert_commutative(cumulative.combine, opinions)


@given(opinion_lists())
def test_combine_is_associative(opinions):
    theorem.assert_associative(cumulative.combine, opinions)


@given(opinions())
def test_the_vacuous_opinion_is_neutral(opinion):
    theorem.assert_vacuous_neutral(cumulative.combine, opinion)


@given(opinion_lists())
def test_uncertainty_never_grows(opinions):
    theorem.assert_uncertainty_never_grows(cumulative.combine, opinions)


@given(opinion_lists())
def test_uncertainty_is_never_below_dempsters(opinions):
    """The cross terms are evidence, so Dempster's rule is the more certain of the two."""
    assert reduced.combine(opinions).uncertainty <= cumulative.combine(opinions).uncertainty * (1 + 1e-12)


@given(opinion_lists())
def test_fused_opinions_pass_the_check(opinions):
    theorem.assert_passes_the_check(cumulative.combine(opinions))


def fused_precision_ratio(rule, counts: list[int]) -> torch.Tensor:
    """Lambda / Lambda0 of the fused opinion, 1 / u, with batches of ``counts`` as the sources."""
    prior = GradientPrior.centred(torch.tensor([2.0, 3.0]))
    variance = torch.tensor([5.0, 0.7])
    sources = []
    for count in counts:
        moments = GradientMoments.from_variance(torch.tensor([1.0, -1.0]), variance, float(count), 1.0)
        sources.append(
            opinion(PseudoCount(frame=ReliabilityFrame())(normal_posterior(moments, prior), prior))
        )
    return rule(sources).uncertainty.reciprocal()


def test_precisions_add_by_cumulative_fusion_and_multiply_by_dempsters():
    """Conditionally independent Bayesian fusion: 1 + sum_m (Lambda_m / Lambda0 - 1)."""
    counts = [3, 10, 25]
    gained = [n * torch.tensor([2.0, 3.0]) / torch.tensor([5.0, 0.7]) for n in counts]
    torch.testing.assert_close(fused_precision_ratio(cumulative.combine, counts), 1 + sum(gained))
    product = torch.stack([1 + g for g in gained]).prod(0)
    torch.testing.assert_close(fused_precision_ratio(reduced.combine, counts), product)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_dtype_is_right_to_its_rounding(dtype, device):
    evidences = [Evidence(torch.tensor(v, dtype=dtype, device=device), 2.0) for v in ([4.0, 2.0], [1.0, 7.0])]
    fused = cumulative.combine([opinion(e) for e in evidences])
    assert (fused.belief.dtype, fused.belief.device) == (dtype, evidences[0].values.device)
    found = [*fused.belief.tolist(), fused.uncertainty.item()]
    assert found == pytest.approx([5 / 16, 9 / 16, 2 / 16], rel=8 * torch.finfo(dtype).eps)


def test_a_batch_is_combined_row_by_row():
    sources = [opinion(Evidence(100 * torch.rand(4, 3), 3.0)) for _ in range(3)]
    theorem.assert_batch_is_elementwise(cumulative.combine, sources)


def test_one_dogmatic_source_outweighs_all_others_and_two_are_refused():
    half, zero = torch.tensor([0.5, 0.5]), torch.tensor(0.0)
    sure = Opinion(torch.tensor([0.25, 0.75]), zero, half)
    other = Opinion(torch.tensor([0.5, 0.0]), torch.tensor(0.5), half)
    theorem.assert_same_opinion(cumulative.combine([other, sure, other]), sure)
    with pytest.raises(RangeError, match=r"uncertainty must not be 0 in two sources; found nan. Keep some"):
        cumulative.combine([sure, other, sure])


def test_nothing_to_combine_is_refused():
    with pytest.raises(
        RangeError, match=r"opinions must hold at least one source; found 0. Start from the vac"
    ):
        cumulative.combine([])
