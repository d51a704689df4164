import pytest
import torch
from hypothesis import given

from bogc.belief import MOST_EVIDENCE, DirichletBelief, Evidence, MassFunction, Opinion
from bogc.errors import FrameError, MassSumError, NonFiniteError, RangeError
from tests.properties.strategies import PRIOR_WEIGHTS, dirichlets, evidences, opinions


def assert_survives_dirichlet(opinion: Opinion, prior_weight: float) -> None:
    back = Opinion.from_dirichlet(opinion.to_dirichlet(prior_weight))
    torch.testing.assert_close(back.belief, opinion.belief, rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(back.uncertainty, opinion.uncertainty, rtol=1e-13, atol=0)
    assert torch.equal(back.base_rate, opinion.base_rate)


def assert_survives_mass_function(opinion: Opinion) -> None:
    back = MassFunction.from_opinion(opinion).to_opinion(opinion.base_rate)
    assert torch.equal(back.belief, opinion.belief)
    assert torch.equal(back.uncertainty, opinion.uncertainty)


@given(opinions(), PRIOR_WEIGHTS)
def test_dirichlet_and_back_is_the_identity_for_any_prior_weight(opinion, weight):
    assert_survives_dirichlet(opinion, weight)


@given(opinions())
def test_mass_function_and_back_is_the_identity(opinion):
    assert_survives_mass_function(opinion)


@given(dirichlets())
def test_projected_probability_is_the_mean_of_the_dirichlet(dirichlet):
    found = Opinion.from_dirichlet(dirichlet).projected_probability
    torch.testing.assert_close(found, dirichlet.concentration / dirichlet.concentration.sum())


@given(dirichlets())
def test_belief_and_uncertainty_are_shares_of_the_strength(dirichlet):
    opinion = Opinion.from_dirichlet(dirichlet)
    torch.testing.assert_close(opinion.uncertainty * dirichlet.strength, torch.tensor(dirichlet.prior_weight))
    torch.testing.assert_close(opinion.belief.sum() + opinion.uncertainty, torch.tensor(1.0))


@given(evidences())
def test_evidence_and_back_is_the_identity(evidence):
    """By what was counted, bit for bit; without it, by e = W b / u to rounding."""
    opinion = Opinion.from_evidence(evidence)
    assert opinion.to_evidence() is evidence
    bare = Opinion(opinion.belief, opinion.uncertainty, opinion.base_rate)
    assert bare.counted is None
    found = bare.to_evidence(evidence.prior_weight)
    torch.testing.assert_close(found.values, evidence.values, rtol=1e-12, atol=1e-12)
    assert found.prior_weight == evidence.prior_weight


@given(dirichlets())
def test_the_way_over_the_dirichlet_and_the_direct_one_agree_bit_for_bit(dirichlet):
    evidence = dirichlet.to_evidence()
    over = Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence, dirichlet.base_rate))
    direct = Opinion.from_evidence(evidence, dirichlet.base_rate)
    assert torch.equal(over.belief, direct.belief)
    assert torch.equal(over.uncertainty, direct.uncertainty)
    assert over.counted is direct.counted is evidence


@pytest.mark.parametrize("hypotheses", [2, 10, 1000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("most", [1.0, 4e4, 1e38])
def test_the_strongest_evidence_neither_overflows_nor_vanishes(dtype, hypotheses, most):
    """Its sum overflows from 4 hypotheses on in float32, and from 2 on in float16."""
    most = min(most, 4e4) if dtype == torch.float16 else most
    values = torch.full((hypotheses,), most, dtype=dtype)
    opinion = Opinion.from_evidence(Evidence(values, float(hypotheses)))
    tolerance = max(hypotheses, 8) * torch.finfo(dtype).eps
    total = opinion.belief.double().sum() + opinion.uncertainty.double()
    assert total.item() == pytest.approx(1, abs=tolerance)
    share = most / (hypotheses * (most + 1))
    assert opinion.belief.double().tolist() == pytest.approx([share] * hypotheses, rel=tolerance)
    assert opinion.uncertainty.item() == pytest.approx(1 / (most + 1), rel=tolerance, abs=1e-7)
    Opinion(opinion.belief, opinion.uncertainty, opinion.base_rate)  # the check


def test_a_dogmatic_opinion_stands_for_the_most_evidence_that_is_counted():
    half = torch.tensor([0.5, 0.5], dtype=torch.float32)
    sure = Opinion(half, torch.tensor(0.0, dtype=torch.float32), half)
    assert sure.to_evidence().values.tolist() == pytest.approx([MOST_EVIDENCE, MOST_EVIDENCE])


def test_the_vacuous_opinion_has_no_evidence():
    vacuous = Opinion.vacuous(torch.zeros(4, 3))
    assert torch.equal(vacuous.uncertainty, torch.ones(4))
    assert torch.equal(vacuous.to_dirichlet(3.0).to_evidence().values, torch.zeros(4, 3))


def test_a_dogmatic_opinion_has_no_dirichlet():
    opinion = Opinion(torch.tensor([0.5, 0.5]), torch.tensor(0.0), torch.tensor([0.5, 0.5]))
    with pytest.raises(RangeError, match=r"uncertainty must be positive; found 0. A dogmatic opinion"):
        opinion.to_dirichlet(2.0)


NAN = float("nan")
INVALID = [
    ([0.5, 0.5], 0.5, MassSumError, r"belief \+ uncertainty must sum to 1; found 1.5. Divide both"),
    ([-0.1, 0.6], 0.5, RangeError, r"belief must not be negative; found -0.1 at index \[0\]. Masses are"),
    ([0.6, 0.6], -0.2, RangeError, r"uncertainty must not be negative; found -0.2. Masses are"),
    ([NAN, 0.5], 0.5, NonFiniteError, r"belief must be finite; found nan at index \[0\]. Look for"),
    ([0.5, 0.5], NAN, NonFiniteError, r"uncertainty must be finite; found nan. Look for"),
    ([0.5], 0.5, FrameError, "belief needs a frame of at least 2 hypotheses .* found 1. Name"),
]


@pytest.mark.parametrize(("belief", "uncertainty", "error", "match"), INVALID)
def test_fields_that_are_no_opinion_are_refused(belief, uncertainty, error, match):
    rate = torch.full((len(belief),), 1 / len(belief))
    with pytest.raises(error, match=match):
        Opinion(torch.tensor(belief), torch.tensor(uncertainty), rate)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dtype_and_device_follow_the_evidence(dtype, device):
    alpha = torch.tensor([[1.0, 3.0], [1.0, 1.0]], dtype=dtype, device=device)
    dirichlet = DirichletBelief(alpha, 2.0, torch.tensor([0.5, 0.5], dtype=dtype, device=device))
    opinion = Opinion.from_dirichlet(dirichlet)
    assert (opinion.belief.dtype, opinion.belief.device) == (alpha.dtype, alpha.device)
    assert (opinion.uncertainty.dtype, opinion.uncertainty.device) == (alpha.dtype, alpha.device)
    assert opinion.belief.tolist() == [[0, 0.5], [0, 0]]
    assert opinion.uncertainty.tolist() == [0.5, 1]
