import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief import DimensionsFrame, Evidence, Opinion, PseudoCount, ReliabilityFrame, SignFrame
from bogc.calibration import CONSERVATISMS, FusedAgreement, FusedCertainty, NoConservatism, Pipeline
from bogc.combination import reduced
from bogc.errors import TypeMismatchError
from tests.properties.strategies import AMOUNTS

PAIRS = st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=4)


def signs(*pairs: tuple[float, float]) -> Evidence:
    """Evidence (e+, e-) on the sign of each dimension."""
    return Evidence(torch.tensor(pairs, dtype=torch.float64), 2.0)


@pytest.mark.parametrize("kind", CONSERVATISMS.values())
@given(pairs=PAIRS, sources=st.integers(1, 5))
def test_kappa_lies_between_zero_and_the_number_of_sources(kind, pairs, sources):
    kappa = kind()(signs(*pairs), SignFrame(), sources)
    assert kappa.shape == (len(pairs),)
    assert bool(((kappa >= 0) & (kappa <= sources * (1 + 1e-15))).all())


@given(PAIRS, st.integers(1, 5))
def test_fused_certainty_is_m_times_one_minus_u(pairs, sources):
    fused = signs(*pairs)
    expected = sources * (1 - Opinion.from_evidence(fused).uncertainty)
    torch.testing.assert_close(FusedCertainty()(fused, SignFrame(), sources), expected, rtol=0, atol=1e-14)


@given(PAIRS, st.integers(1, 5))
def test_fused_agreement_is_m_times_the_difference_of_beliefs(pairs, sources):
    fused = signs(*pairs)
    expected = [sources * abs(p - n) for p, n in Opinion.from_evidence(fused).belief.tolist()]
    assert FusedAgreement()(fused, SignFrame(), sources).tolist() == pytest.approx(expected)


@given(PAIRS)
def test_fused_agreement_never_exceeds_fused_certainty(pairs):
    fused = signs(*pairs)
    agreement = FusedAgreement()(fused, SignFrame(), 2)
    assert bool((agreement <= FusedCertainty()(fused, SignFrame(), 2) * (1 + 1e-12)).all())


@given(PAIRS, st.integers(1, 5))
def test_no_conservatism_is_m(pairs, sources):
    assert NoConservatism()(signs(*pairs), SignFrame(), sources).tolist() == [sources] * len(pairs)


@pytest.mark.parametrize("kind", [FusedCertainty, FusedAgreement])
def test_kappa_is_zero_where_the_fused_opinion_is_vacuous(kind):
    assert kind()(signs((0, 0), (5, 1)), SignFrame(), 3)[0].item() == 0


@pytest.mark.parametrize("evidence", [1.0, 1e2, 1e6])
def test_only_fused_agreement_sees_that_two_sources_pull_apart(evidence):
    """Fused u never grows: under total disagreement certainty rises with the evidence; agreement stays 0."""
    fused = reduced.combine_evidence([signs((evidence, 0)), signs((0, evidence))])
    assert FusedAgreement()(fused, SignFrame(), 2).item() == pytest.approx(0, abs=1e-12)
    assert FusedCertainty()(fused, SignFrame(), 2).item() == pytest.approx(2 * evidence / (evidence + 1))


@pytest.mark.parametrize("frame", [ReliabilityFrame(), DimensionsFrame()])
def test_fused_agreement_needs_a_sign(frame):
    match = "frame must be of type SignFrame; found .*Frame. FusedAgreement needs the sign frame; use FusedC"
    with pytest.raises(TypeMismatchError, match=match):
        Pipeline(evidence=PseudoCount(frame=frame), conservatism=FusedAgreement())


@pytest.mark.parametrize("kind", [FusedCertainty, NoConservatism])
def test_one_opinion_on_the_block_gives_one_kappa(kind):
    evidence = Evidence(torch.tensor([1.0, 2.0, 4.0]), 3.0)
    kappa = kind()(evidence, DimensionsFrame(), 2)
    assert kappa.tolist() == pytest.approx([1.4 if kind is FusedCertainty else 2.0])
