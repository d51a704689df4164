import pytest
import torch
from hypothesis import given

from bogc.belief import DirichletBelief, Evidence
from bogc.errors import FrameError, NegativeEvidenceError, NonFiniteError, RangeError
from tests.properties.strategies import evidences

NAN, INF = float("nan"), float("inf")


def assert_survives_dirichlet(evidence: Evidence) -> None:
    """Bit for bit; without what was counted, subtracting W a from e + W a costs a rounding of alpha."""
    dirichlet = DirichletBelief.from_evidence(evidence)
    assert dirichlet.to_evidence() is evidence
    bare = DirichletBelief(dirichlet.concentration, dirichlet.prior_weight, dirichlet.base_rate)
    found = bare.to_evidence()
    allowed = 2 * torch.finfo(torch.float64).eps * dirichlet.concentration
    assert bool(((found.values - evidence.values).abs() <= allowed).all())
    assert found.prior_weight == evidence.prior_weight


@given(evidences())
def test_total_and_strength_are_sums(evidence):
    torch.testing.assert_close(evidence.total, evidence.values.sum())
    torch.testing.assert_close(evidence.strength, evidence.values.sum() + evidence.prior_weight)


@given(evidences())
def test_dirichlet_and_back_is_the_identity(evidence):
    assert_survives_dirichlet(evidence)


@given(evidences())
def test_dirichlet_counts_evidence_on_top_of_the_prior(evidence):
    dirichlet = DirichletBelief.from_evidence(evidence)
    prior = evidence.prior_weight / evidence.values.shape[-1]
    torch.testing.assert_close(dirichlet.concentration, evidence.values + prior)


VALUES = [
    (
        [1.0, -1e-3],
        NegativeEvidenceError,
        r"evidence must not be negative; found -0.001 at index \[1\]. Pass it",
    ),
    ([1.0, NAN], NonFiniteError, r"evidence must be finite; found nan at index \[1\]. Above 3e38"),
    ([INF, 1.0], NonFiniteError, r"evidence must be finite; found inf at index \[0\]. Above 3e38"),
    (
        [1.0],
        FrameError,
        r"evidence needs a frame of at least 2 hypotheses on its last axis; found 1. Name the alt",
    ),
    (
        [],
        FrameError,
        r"evidence needs a frame of at least 2 hypotheses on its last axis; found 0. Name the alt",
    ),
]


@pytest.mark.parametrize(("values", "error", "match"), VALUES)
def test_values_that_are_no_evidence_are_refused(values, error, match):
    with pytest.raises(error, match=match):
        Evidence(torch.tensor(values), 2.0)


@pytest.mark.parametrize("weight", [0.0, -1.0, NAN, INF])
def test_a_prior_weight_is_positive_and_finite(weight):
    with pytest.raises(RangeError, match=f"prior_weight must be positive and finite; found {weight}. Use 2"):
        Evidence(torch.ones(2), weight)


def test_no_evidence_is_evidence():
    assert Evidence(torch.zeros(2), 2.0).values.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(2,), (3, 2), (0, 2), (2, 3, 4)])
def test_any_leading_axes_are_a_batch(shape):
    assert_survives_dirichlet(Evidence(torch.rand(shape), 3.0))
