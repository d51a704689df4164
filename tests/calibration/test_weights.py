import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief import Evidence, SignFrame, UnitDimensionsFrame
from bogc.calibration import (
    WEIGHTS,
    EqualWeights,
    MixedCertainty,
    NoConservatism,
    PrecisionWeights,
    RelativeBelief,
    aggregate,
)
from bogc.posterior import GradientPosterior
from tests.properties.strategies import tensor


@st.composite
def beliefs_and_posteriors(draw: st.DrawFn) -> tuple[torch.Tensor, GradientPosterior]:
    """Beliefs in [0, 1], some exactly 0, and posteriors of any positive variance."""
    sources, size = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    row = st.lists(st.just(0.0) | st.floats(1e-9, 1), min_size=size, max_size=size)
    scale = st.lists(st.floats(1e-6, 1e6), min_size=size, max_size=size)
    beliefs = tensor(draw(st.lists(row, min_size=sources, max_size=sources)))
    variances = tensor(draw(st.lists(scale, min_size=sources, max_size=sources)))
    return beliefs, GradientPosterior(torch.ones_like(variances), variances)


ALL = pytest.mark.parametrize("kind", WEIGHTS.values())


@ALL
@given(drawn=beliefs_and_posteriors())
def test_weights_are_shares_of_one(kind, drawn):
    found = kind()(*drawn)
    assert found.shape == drawn[0].shape
    assert bool((found >= 0).all())
    torch.testing.assert_close(found.sum(0), torch.ones(found.shape[1]), rtol=0, atol=1e-14)


@ALL
@given(drawn=beliefs_and_posteriors())
def test_weights_are_equivariant_to_permuting_sources(kind, drawn):
    beliefs, posterior = drawn
    turned = GradientPosterior(posterior.loc.flip(0), posterior.variance.flip(0))
    torch.testing.assert_close(kind()(beliefs.flip(0), turned), kind()(*drawn).flip(0))


@given(beliefs_and_posteriors())
def test_relative_belief_is_the_share_of_belief_and_equal_where_nobody_believes(drawn):
    beliefs, posteriors = drawn
    for d, column in enumerate(beliefs.T.tolist()):
        expected = [b / sum(column) if sum(column) else 1 / len(column) for b in column]
        assert RelativeBelief()(beliefs, posteriors)[:, d].tolist() == pytest.approx(
            expected, rel=1e-14, abs=1e-290
        )


@given(beliefs_and_posteriors())
def test_equal_weights_are_equal(drawn):
    assert torch.equal(EqualWeights()(*drawn), torch.full_like(drawn[0], 1 / len(drawn[0])))


@given(beliefs_and_posteriors())
def test_precision_weights_are_inverse_variances(drawn):
    precision = drawn[1].precision
    torch.testing.assert_close(PrecisionWeights()(*drawn), precision / precision.sum(0), rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_relative_belief_gives_a_vacuous_source_next_to_nothing(dtype):
    """The smallest normal number over the belief of the others: 1e-38 in float32, 1e-4 in float16."""
    beliefs = torch.tensor([[0.5, 1e-3], [0.0, 0.0], [0.25, 0.0]], dtype=dtype)
    found = RelativeBelief()(beliefs, GradientPosterior(beliefs, torch.ones_like(beliefs)))
    least = 2 * torch.finfo(dtype).tiny
    assert found[1, 0].item() <= least / 0.75
    assert found[1, 1].item() <= least / 1e-3
    loose = {"rel": 4 * torch.finfo(dtype).eps, "abs": least}
    assert found[:, 0].tolist() == pytest.approx([2 / 3, 0, 1 / 3], **loose)


def test_precision_weights_do_not_overflow():
    variance = torch.tensor([[1e-38], [3e-38]], dtype=torch.float32)
    found = PrecisionWeights()(
        torch.zeros_like(variance), GradientPosterior(torch.zeros_like(variance), variance)
    )
    assert found[:, 0].tolist() == pytest.approx([0.75, 0.25])


@given(beliefs_and_posteriors(), st.floats(0, 1))
def test_mixed_certainty_is_between_equal_weights_and_shares(drawn, mix):
    beliefs = drawn[0] + 1e-3
    expected = (1 - mix) / len(beliefs) + mix * beliefs / beliefs.sum(0)
    torch.testing.assert_close(MixedCertainty(mix)(beliefs, drawn[1]), expected)


@pytest.mark.parametrize(("frame", "columns"), [(UnitDimensionsFrame(), 1), (SignFrame(), 3)])
def test_mixed_certainty_compares_sources_where_one_opinion_speaks_for_a_block(frame, columns):
    values = torch.rand(2, 3, 2)
    values = values.sum(-1) if columns == 1 else values
    evidence, fused = Evidence(values, 2.0), Evidence(values[0], 2.0)
    posterior = GradientPosterior(torch.ones(2, 3), torch.ones(2, 3))
    update = aggregate(
        torch.ones(2, 3), posterior, evidence, fused, frame, MixedCertainty(1.0), NoConservatism()
    )
    assert update.weights.shape == (2, columns)
    assert update.spread().weights.shape == (2, 3)
    certain = frame.certainty(evidence)
    torch.testing.assert_close(update.weights, certain / certain.sum(0))
    assert update.spread().conservatism.shape == (3,)
