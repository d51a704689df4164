import pytest
import torch

from bogc.balancing.row_moments import OverSteps, WithinBatch
from bogc.errors import RangeError, ShapeError
from bogc.gradients import GradientMoments, Streaming


def test_over_steps_agrees_with_streaming_but_for_the_count():
    """Streaming differentiates; here a loss that is linear in a parameter gives it the same rows."""
    from bogc.gradients.blocks import Block

    parameter = torch.nn.Parameter(torch.zeros(3))
    block, ours, theirs = Block("b", "shared", (parameter,)), {}, {}
    for step in range(9):
        samples = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        found = OverSteps(decay=0.8, warmup=4).estimate(samples.mean(0, keepdim=True), ours)
        losses = {"one": samples @ parameter}
        expected = Streaming(decay=0.8, warmup=4).estimate(losses, [block], {"one": theirs})["one"]
        ours, theirs = found.state, expected.state
        torch.testing.assert_close(found.mean, expected.means["b"])
        assert (found.moments is None) == ("b" not in expected.moments) == (step < 4)
        if found.moments:
            torch.testing.assert_close(found.moments.noise, expected.moments["b"].noise)
            GradientMoments(**vars(found.moments))  # the checked constructor accepts it


def test_within_batch_is_exact():
    rows = WithinBatch(2).by_source(torch.randn(10, 3))
    found = WithinBatch(2).estimate(rows[1], {})
    torch.testing.assert_close(found.mean, rows[1].mean(0))
    torch.testing.assert_close(found.moments.variance, rows[1].var(0))
    assert found.state == {}


def test_rows_are_cut_source_by_source():
    matrix = torch.arange(6.0).unsqueeze(1)
    assert WithinBatch(3).by_source(matrix).squeeze(-1).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert OverSteps().by_source(matrix).shape == (6, 1, 1)


@pytest.mark.parametrize("rows", [0, 2, 3, 7])
def test_rows_that_cannot_be_cut_are_refused(rows: int):
    with pytest.raises(ShapeError, match=f"two rows or more for each of 3 sources.*; found {rows} rows"):
        WithinBatch(3).by_source(torch.zeros(rows, 2))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: OverSteps(decay=1.0), r"decay must lie in \(0, 1\)"),
        (lambda: OverSteps(warmup=1), "warmup must be at least 2"),
        (lambda: WithinBatch(0), "sources must be at least 1"),
    ],
)
def test_numbers_are_checked(make, rule: str):
    with pytest.raises(RangeError, match=rule):
        make()
