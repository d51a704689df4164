import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.errors import (
    DtypeError,
    NonFiniteError,
    RangeError,
    TooFewSamplesError,
    ZeroVarianceError,
)
from bogc.gradients import GradientMoments
from bogc.gradients.moments import welford

SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=5)
FIELDS = ("mean", "scatter", "count", "degrees_of_freedom")


@st.composite
def sample_sets(draw: st.DrawFn) -> list[Tensor]:
    """Sets of samples [N, 3] around means up to 100 with scales from 0.01 to 100."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    loc, scale = draw(st.floats(-100, 100)), 10 ** draw(st.floats(-2, 2))
    noise = [torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in draw(SIZES)]
    return [loc + scale * rows for rows in noise]


def assert_same(first: GradientMoments, second: GradientMoments, rtol: float = 1e-9) -> None:
    for name in FIELDS:
        torch.testing.assert_close(getattr(first, name), getattr(second, name), rtol=rtol, atol=1e-12)


def merged(parts: list[GradientMoments]) -> GradientMoments:
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


@given(sample_sets())
def test_from_samples_is_the_mean_and_unbiased_variance(sets):
    rows = torch.cat(sets)
    moments = GradientMoments.from_samples(rows)
    torch.testing.assert_close(moments.mean, rows.mean(0))
    torch.testing.assert_close(moments.variance, rows.var(0))
    torch.testing.assert_close(moments.noise, rows.var(0) / len(rows))
    torch.testing.assert_close(moments.root, rows.std(0) / len(rows) ** 0.5)
    assert (moments.count.item(), moments.degrees_of_freedom.item()) == (len(rows), len(rows) - 1)


@given(sample_sets())
def test_merge_equals_all_at_once(sets):
    assert_same(
        merged([GradientMoments.from_samples(rows) for rows in sets]),
        GradientMoments.from_samples(torch.cat(sets)),
    )


@given(sample_sets())
def test_merge_is_commutative_and_associative(sets):
    parts = [GradientMoments.from_samples(rows) for rows in sets]
    assert_same(merged(parts), merged(parts[::-1]))
    right = parts[-1]
    for part in parts[-2::-1]:
        right = part.merge(right)
    assert_same(merged(parts), right)


@given(SIZES, SIZES)
def test_grouped_moments_merge_with_their_degrees_of_freedom(first, second):
    """Groups of two batches are the groups of their union: C1 + C2 - 1 degrees of freedom."""
    means = torch.randn(len(first) + len(second), 2)
    sizes = torch.tensor(first + second).to(means)
    parts = [
        GradientMoments.from_groups(means[: len(first)], sizes[: len(first)]),
        GradientMoments.from_groups(means[len(first) :], sizes[len(first) :]),
    ]
    assert_same(merged(parts), GradientMoments.from_groups(means, sizes))


@given(SIZES)
def test_scatter_of_groups_has_expectation_of_its_degrees_of_freedom(sizes):
    """The scatter is a quadratic form x'Qx of the samples, blind to a common shift, so for iid samples of
    variance 1 its mean is trace Q: the sum of its values at the unit vectors, one a dimension here."""
    samples = torch.eye(sum(sizes))
    means = torch.stack([rows.mean(0) for rows in samples.split(sizes)])
    moments = GradientMoments.from_groups(means, torch.tensor(sizes).to(means))
    torch.testing.assert_close(moments.scatter.sum(), torch.tensor(len(sizes) - 1.0))
    shifted = GradientMoments.from_groups(means + 7, torch.tensor(sizes).to(means))
    torch.testing.assert_close(shifted.scatter, moments.scatter)
    torch.testing.assert_close(shifted.mean, samples.mean(0) + 7)


def test_grouped_variance_is_unbiased_for_unequal_groups():
    """Scatter / sigma^2 is chi-square with 2 degrees of freedom, of mean 2 and variance 4, so the mean of R
    of them has standard error 2 / sqrt(R); 4.27 of those fail with probability 2e-5."""
    repeats, sizes = 100_000, [5, 2, 1]
    samples = 3 + 0.5 * torch.randn(8, repeats)
    means = torch.stack([rows.mean(0) for rows in samples.split(sizes)])
    moments = GradientMoments.from_groups(means, torch.tensor(sizes).to(means))
    assert abs(moments.scatter.mean().item() / 0.25 - 2) < 4.27 * 2 / repeats**0.5
    assert abs(moments.variance.mean().item() / 0.25 - 1) < 4.27 / repeats**0.5


def test_float32_keeps_a_small_variance_around_a_large_mean():
    rows = (1000 + 0.01 * torch.randn(64, 50)).float()
    expected = rows.double().var(0)
    parts = [GradientMoments.from_samples(chunk) for chunk in rows.split(7)]
    for moments in (GradientMoments.from_samples(rows), merged(parts)):
        torch.testing.assert_close(moments.variance.double(), expected, rtol=2e-2, atol=0)
    naive = rows.square().mean(0) - rows.mean(0).square()  # what this class is there to avoid
    assert bool((naive <= 0).any())


def test_batch_axes_are_independent():
    rows = torch.randn(4, 5, 3)
    moments = GradientMoments.from_samples(rows)
    for index in range(4):
        single = GradientMoments.from_samples(rows[index])
        torch.testing.assert_close(moments.variance[index], single.variance)
        torch.testing.assert_close(moments.mean[index], single.mean)


def test_from_variance_is_read_back():
    moments = GradientMoments.from_variance(torch.zeros(2), torch.tensor([2.0, 3.0]), 10, 4)
    torch.testing.assert_close(moments.variance, torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(moments.noise, torch.tensor([0.2, 0.3]))


def test_one_sample_has_no_variance():
    moments = GradientMoments.from_samples(torch.ones(1, 2))
    assert bool(moments.variance.isnan().all())
    with pytest.raises(TooFewSamplesError, match=r"degrees_of_freedom must be at least 1.*found 0"):
        moments.require_variance()
    pair = moments.merge(GradientMoments.from_samples(torch.zeros(1, 2)))
    torch.testing.assert_close(pair.require_variance().variance, torch.full((2,), 0.5))


ONE, TWO = torch.ones(1), torch.ones(2)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ((TWO * float("nan"), TWO, ONE, ONE), NonFiniteError, "mean must be finite; found nan"),
        ((TWO, TWO * float("inf"), ONE, ONE), NonFiniteError, "scatter must be finite"),
        ((TWO, -TWO, ONE, ONE), ZeroVarianceError, r"scatter must not be negative; found -1 at index \[0\]"),
        ((TWO, TWO, ONE, -ONE), ZeroVarianceError, "degrees_of_freedom must not be negative"),
        ((TWO, TWO, ONE * 0, ONE), RangeError, "count must be at least 1"),
        ((TWO, TWO.double(), ONE, ONE), DtypeError, "moments must have one dtype"),
    ],
)
def test_impossible_moments_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        GradientMoments(*fields)


def test_one_observation_after_the_other_gives_the_moments_of_all():
    rows = 1e4 + torch.randn(9, 2, 3)
    mean, scatter = torch.zeros(2, 3), torch.zeros(2, 3)
    for count, row in enumerate(rows, 1):
        welford(mean, scatter, row.clone(), count)
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(scatter, 8 * rows.var(0), rtol=1e-9, atol=0)
