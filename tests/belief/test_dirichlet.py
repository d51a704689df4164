import pyro.distributions as dist
import pytest
import torch
from hypothesis import given

from bogc.belief import DirichletBelief, Evidence, Opinion
from bogc.belief.dirichlet import sum_tolerance
from bogc.errors import FrameError, MassSumError, NonFiniteError, RangeError
from tests.properties.strategies import dirichlets, evidences


def bare(dirichlet: DirichletBelief) -> DirichletBelief:
    """The same without the evidence that it was made from."""
    return DirichletBelief(dirichlet.concentration, dirichlet.prior_weight, dirichlet.base_rate)


@given(dirichlets())
def test_counted_evidence_survives_what_its_concentration_cannot_show(dirichlet):
    """Evidence of 1e-18 beside W a is lost in alpha, and not in what was counted."""
    tiny = Evidence(torch.full_like(dirichlet.concentration, 1e-18), dirichlet.prior_weight)
    made = DirichletBelief.from_evidence(tiny, dirichlet.base_rate)
    assert made.to_evidence() is tiny
    assert made.counted is tiny
    assert torch.equal(Opinion.from_dirichlet(made).to_evidence().values, tiny.values)
    assert bare(made).counted is None


def test_the_mean_of_the_strongest_evidence_is_right_though_its_sum_overflows():
    values = torch.full((12,), 1e38, dtype=torch.float32)
    values[0] = 2e38
    mean = DirichletBelief.from_evidence(Evidence(values, 12.0)).mean
    assert mean.tolist() == pytest.approx([2 / 13] + [1 / 13] * 11, rel=1e-6)


def assert_survives_evidence(dirichlet: DirichletBelief) -> None:
    back = DirichletBelief.from_evidence(dirichlet.to_evidence(), dirichlet.base_rate)
    torch.testing.assert_close(back.concentration, dirichlet.concentration, rtol=1e-14, atol=0)
    assert torch.equal(back.base_rate, dirichlet.base_rate)
    assert back.prior_weight == dirichlet.prior_weight


def assert_survives_opinion(dirichlet: DirichletBelief) -> None:
    back = Opinion.from_dirichlet(dirichlet).to_dirichlet(dirichlet.prior_weight)
    scale = float(dirichlet.strength.max())
    torch.testing.assert_close(back.concentration, dirichlet.concentration, rtol=1e-13, atol=1e-15 * scale)
    assert torch.equal(back.base_rate, dirichlet.base_rate)


@given(dirichlets())
def test_evidence_and_back_is_the_identity(dirichlet):
    assert_survives_evidence(dirichlet)


@given(dirichlets())
def test_opinion_and_back_is_the_identity(dirichlet):
    assert_survives_opinion(dirichlet)


@given(dirichlets())
def test_strength_is_prior_weight_plus_evidence(dirichlet):
    expected = dirichlet.prior_weight + dirichlet.to_evidence().values.sum()
    torch.testing.assert_close(dirichlet.strength, expected)


@given(dirichlets())
def test_mean_is_that_of_pyro(dirichlet):
    torch.testing.assert_close(dirichlet.mean, dirichlet.to_pyro().mean)


@given(evidences())
def test_evidence_enters_by_pyros_conjugate_update(evidence):
    """``conjugate_update`` gives a + b - 1, so evidence enters as Dirichlet(1 + e) beside any prior."""
    prior = torch.full_like(evidence.values, evidence.prior_weight / evidence.values.shape[-1])
    updated, _ = dist.Dirichlet(prior).conjugate_update(dist.Dirichlet(1 + evidence.values))
    found = DirichletBelief.from_evidence(evidence).to_pyro()
    torch.testing.assert_close(found.concentration, updated.concentration)


def test_w_equal_to_k_gives_the_convention_of_evidential_deep_learning():
    dirichlet = DirichletBelief.from_evidence(Evidence(torch.tensor([2.0, 0.0, 5.0]), 3.0))
    assert dirichlet.concentration.tolist() == [3, 1, 6]


HALF = [0.5, 0.5]
INVALID = [
    (
        [0.9, 1.0],
        2.0,
        HALF,
        RangeError,
        r"concentration must be at least W a; found 0.9 at index \[0\]. Add the",
    ),
    (
        [1.0, float("nan")],
        2.0,
        HALF,
        NonFiniteError,
        r"concentration must be finite; found nan at index \[1\]. Loo",
    ),
    ([1.0, 1.0], -2.0, HALF, RangeError, "prior_weight must be positive and finite; found -2.0. Use"),
    ([1.0, 2.0], 2.0, [0.5, 0.6], MassSumError, "base_rate must sum to 1; found 1.1. Divide it by its sum"),
    (
        [1.0, 2.0],
        2.0,
        [0.0, 1.0],
        RangeError,
        r"base_rate must be positive; found 0 at index \[0\]. Give each",
    ),
    ([1.0], 2.0, [1.0], FrameError, "concentration needs a frame of at least 2 hypotheses .* found 1. Name"),
]


@pytest.mark.parametrize(("alpha", "weight", "rate", "error", "match"), INVALID)
def test_fields_that_are_no_dirichlet_are_refused(alpha, weight, rate, error, match):
    with pytest.raises(error, match=match):
        DirichletBelief(torch.tensor(alpha), weight, torch.tensor(rate))


def test_a_base_rate_given_to_from_evidence_is_checked():
    with pytest.raises(MassSumError, match=r"base_rate must sum to 1; found 2. Divide it by its sum"):
        DirichletBelief.from_evidence(Evidence(torch.ones(2), 2.0), torch.ones(2))


def test_base_rates_may_differ_over_the_batch():
    rate = torch.tensor([[0.2, 0.8], [0.5, 0.5]])
    assert_survives_evidence(DirichletBelief.from_evidence(Evidence(torch.rand(2, 2), 2.0), rate))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float64, 2**-26), (torch.float32, 2**-11.5), (torch.bfloat16, 0.01), (torch.float16, 0.01)],
)
def test_tolerance_of_sums_is_the_root_of_the_rounding_unit_and_at_most_a_hundredth(dtype, expected):
    assert sum_tolerance(torch.ones(1, dtype=dtype)) == pytest.approx(expected)
