import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import RangeError
from bogc.methods.search import Choice, LogUniform, Uniform

QUANTILES = st.floats(0, 1, exclude_max=True)
DISTRIBUTIONS = [Uniform(-1.0, 3.0), LogUniform(1e-3, 0.5), Choice(("a", "b", "c"))]


@given(QUANTILES, QUANTILES)
@pytest.mark.parametrize("distribution", [Uniform(-1.0, 3.0), LogUniform(1e-3, 0.5)])
def test_values_stay_within_and_grow_with_the_quantile(distribution, first: float, second: float):
    low, high = sorted((first, second))
    assert distribution.low <= distribution.at(low) <= distribution.at(high) <= distribution.high


@given(QUANTILES, st.floats(1e-5, 1), st.floats(1.5, 1e4))
def test_equal_quantiles_are_equal_ratios_on_a_logarithmic_scale(q: float, low: float, ratio: float):
    assert LogUniform(low, low * ratio).at(q) == pytest.approx(low * ratio**q, rel=1e-3)


@given(QUANTILES, st.floats(-10, 10), st.floats(0.1, 10))
def test_equal_quantiles_are_equal_differences_on_a_plain_scale(q: float, low: float, width: float):
    assert Uniform(low, low + width).at(q) == pytest.approx(low + q * width, rel=1e-3, abs=1e-12)


def test_every_option_covers_the_same_part_of_the_quantiles():
    found = [Choice(("a", "b", "c")).at(i / 300) for i in range(300)]
    assert [found.count(option) for option in ("a", "b", "c")] == [100, 100, 100]


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        (DISTRIBUTIONS[0], "uniform on -1 to 3"),
        (DISTRIBUTIONS[1], "log-uniform on 0.001 to 0.5"),
        (DISTRIBUTIONS[2], "one of a, b, c"),
    ],
)
def test_description(distribution, text: str):
    assert distribution.describe() == text


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("q", [-0.1, 1.0, float("nan")])
def test_not_a_quantile(distribution, q: float):
    with pytest.raises(RangeError, match=r"q must lie in \[0, 1\)"):
        distribution.at(q)


@pytest.mark.parametrize("kind", [Uniform, LogUniform])
@pytest.mark.parametrize("high", [0.5, 1.0, float("inf"), float("nan")])
def test_bounds_must_be_finite_and_in_order(kind: type, high: float):
    with pytest.raises(RangeError, match=r"high must be finite and above low = 1\.0"):
        kind(1.0, high)


def test_a_logarithm_needs_a_positive_bound():
    with pytest.raises(RangeError, match=r"low must be positive; found 0\.0"):
        LogUniform(0.0, 1.0)


def test_a_choice_needs_options():
    with pytest.raises(RangeError, match="options must hold at least one; found 0"):
        Choice(())
