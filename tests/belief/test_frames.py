import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import nn

from bogc.belief import (
    FRAMES,
    DimensionsFrame,
    DirichletBelief,
    Evidence,
    Frame,
    Opinion,
    ReliabilityFrame,
    SignFrame,
    UnitDimensionsFrame,
)
from bogc.belief.measures import conflict
from bogc.combination import reduced
from bogc.gradients import Block, Layout, OverBlocks
from bogc.gradients.groups import WIDTH
from bogc.posterior import GradientPosterior
from tests.properties.strategies import AMOUNTS, vectors

SIZES = st.integers(2, 5)
AMOUNTS_AND_SIGNALS = SIZES.flatmap(lambda d: st.tuples(vectors(d), vectors(d, st.floats(-6, 6))))


def opinion(values: torch.Tensor, weight: float = 2.0) -> Opinion:
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(Evidence(values, weight)))


def spread(frame: Frame, amount: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """Distribute for posteriors with mu / sqrt(v) = ``signal``."""
    return frame.distribute(amount, GradientPosterior(3 * signal, torch.full_like(signal, 9.0)))


@given(AMOUNTS_AND_SIGNALS)
def test_sign_frame_splits_by_the_posterior_probability_of_each_sign(drawn):
    amount, signal = drawn
    positive = torch.from_numpy(norm.cdf(signal.numpy()))
    expected = torch.stack([amount * positive, amount * (1 - positive)], -1)
    rounding = 1e-15 * 1e4  # e- = e - e+ is as exact as e is large
    torch.testing.assert_close(spread(SignFrame(), amount, signal), expected, rtol=1e-12, atol=rounding)


@given(AMOUNTS_AND_SIGNALS)
def test_sign_frame_swaps_hypotheses_when_the_gradient_changes_sign(drawn):
    amount, signal = drawn
    flipped = spread(SignFrame(), amount, -signal).flip(-1)
    torch.testing.assert_close(spread(SignFrame(), amount, signal), flipped, rtol=0, atol=1e-15 * 1e4)


@pytest.mark.parametrize("frame", [SignFrame(), ReliabilityFrame()])
@given(drawn=AMOUNTS_AND_SIGNALS)
def test_frames_of_one_dimension_distribute_all_the_evidence(frame, drawn):
    torch.testing.assert_close(spread(frame, *drawn).sum(-1), drawn[0])


@given(st.lists(AMOUNTS, min_size=2, max_size=4), st.floats(0.5, 10))
def test_reliability_frame_never_conflicts_and_its_uncertainties_multiply(amounts, weight):
    sources = [
        opinion(spread(ReliabilityFrame(), torch.tensor([e]), torch.zeros(1)), weight) for e in amounts
    ]
    assert conflict(sources).item() == pytest.approx(0, abs=1e-12)
    expected = torch.stack([source.uncertainty for source in sources]).prod(0)
    torch.testing.assert_close(reduced.combine(sources).uncertainty, expected, rtol=1e-12, atol=0)


def test_dimensions_frame_holds_one_opinion_on_the_whole_block():
    amount = torch.tensor([1.0, 2.0, 4.0])
    values = spread(DimensionsFrame(), amount, torch.zeros(3))
    assert torch.equal(values, amount)
    one = Evidence(values, 3.0)
    assert opinion(values, 3.0).belief.tolist() == pytest.approx([0.1, 0.2, 0.4])
    assert DimensionsFrame().committed(one).tolist() == pytest.approx([0.1, 0.2, 0.4])
    assert DimensionsFrame().certainty(one).tolist() == pytest.approx([0.7])


@pytest.mark.parametrize("kind", FRAMES.values())
@given(drawn=AMOUNTS_AND_SIGNALS)
def test_certainty_is_one_minus_uncertainty(kind, drawn):
    values = spread(kind(), *drawn)
    found = kind().certainty(Evidence(values, 2.0))
    torch.testing.assert_close(found, (1 - opinion(values).uncertainty).expand_as(found), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", FRAMES.values())
@given(drawn=AMOUNTS_AND_SIGNALS)
def test_what_is_committed_sums_to_certainty(kind, drawn):
    """A frame of one dimension commits all it believes there; a frame of the block shares it out."""
    evidence = Evidence(spread(kind(), *drawn), 2.0)
    per_dimension = kind().committed(evidence)
    assert per_dimension.shape == drawn[0].shape
    total = per_dimension.sum(0, keepdim=True) if kind.pools else per_dimension
    torch.testing.assert_close(total, kind().certainty(evidence))


@pytest.mark.parametrize("kind", FRAMES.values())
def test_a_frame_looks_at_whole_blocks_through_its_pool(kind):
    """Two blocks side by side in rows give what each gives alone."""
    blocks = [
        Block(name, "image", (nn.Parameter(torch.zeros(size)),)) for name, size in (("a", 3), ("b", 300))
    ]
    layout = Layout(blocks, [("fusion",)] * 2)
    pool, rows = OverBlocks(layout), (1, layout.size // WIDTH, WIDTH)
    flat = torch.rand(1, layout.size) * layout.mask(torch.ones(1)).view(-1)
    posterior = GradientPosterior(torch.ones(rows), torch.ones(rows))
    evidence = Evidence(kind().distribute(flat.view(rows), posterior), 2.0)
    committed = kind().committed(evidence, pool).view(1, -1)
    for name, cut in layout.cut(flat).items():
        one = GradientPosterior(torch.ones_like(cut), torch.ones_like(cut))
        expected = kind().committed(Evidence(kind().distribute(cut.clone(), one), 2.0))
        assert torch.equal(layout.cut(committed)[name], expected)


@pytest.mark.parametrize("kind", FRAMES.values())
def test_small_certainty_keeps_its_digits(kind):
    """1 - u in float32 has none of them left at 1e-9; evidence over W has all."""
    amount = torch.tensor([2e-9, 2e-9], dtype=torch.float32)
    evidence = Evidence(spread(kind(), amount, torch.zeros(2, dtype=torch.float32)), 2.0)
    expected = 2e-9 if kind.pools else 1e-9
    found = kind().certainty(evidence).tolist()
    assert found == pytest.approx([expected] * len(found), rel=1e-6)


def test_unit_dimensions_count_evidence_in_the_size_of_each_block():
    """Two blocks in rows, of 3 and 300 dimensions: W e / D in each."""
    blocks = [Block(n, "image", (nn.Parameter(torch.zeros(size)),)) for n, size in (("a", 3), ("b", 300))]
    layout = Layout(blocks, [("fusion",)] * 2)
    rows = torch.ones(1, layout.size // WIDTH, WIDTH)
    found = layout.cut(UnitDimensionsFrame().counted(rows, 2.0, OverBlocks(layout)).view(1, -1))
    assert torch.equal(found["a"], torch.full((1, 3), 2 / 3))
    assert torch.equal(found["b"], torch.full((1, 300), 2 / 300))
    assert torch.equal(DimensionsFrame().counted(rows, 2.0, OverBlocks(layout)), rows)
