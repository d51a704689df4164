import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bogc.errors import TooFewSamplesError
from bogc.training.statistics import mean_interval, paired_difference

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=20)


@given(VALUES)
def test_interval_is_students(values: list[float]):
    interval = mean_interval(values)
    assert interval.mean == pytest.approx(np.mean(values))
    scale = stats.sem(values)
    if scale > 0:
        low, _ = stats.t.interval(0.95, len(values) - 1, np.mean(values), scale)
        assert interval.mean - interval.half == pytest.approx(low)


@given(VALUES, st.floats(-1, 1))
def test_pairing_removes_what_is_common(values: list[float], shift: float):
    difference = paired_difference([v + shift for v in values], values)
    assert difference.mean == pytest.approx(shift, abs=1e-9)
    assert difference.half == pytest.approx(0, abs=1e-9)


def test_one_value_has_no_interval():
    interval = mean_interval([0.5])
    assert interval.half is None
    assert (str(interval), interval.percent(), interval.percent("+")) == ("0.500", "50.0", "+50.0")


def test_no_value():
    with pytest.raises(TooFewSamplesError, match="values must hold at least one; found 0"):
        mean_interval([])


def test_coverage():
    """95 % intervals of 2,000 Gaussian samples of 5: the count covering 0 is Binomial(2000, .95); |z| < 4.3
    fails with probability 2e-5."""
    generator = np.random.default_rng(0)
    covered = 0
    for sample in generator.normal(size=(2000, 5)):
        interval = mean_interval(sample.tolist())
        covered += abs(interval.mean) <= interval.half
    assert abs(covered - 1900) / np.sqrt(2000 * 0.95 * 0.05) < 4.3
