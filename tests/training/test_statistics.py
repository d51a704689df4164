import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bogc.errors import RangeError, TooFewSamplesError
from bogc.training.statistics import holm, mean_interval, paired_difference, paired_p

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=20)
P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05, 1.0])), max_size=18)


@given(VALUES)
def test_interval_is_students(values: list[float]):
    interval = mean_interval(values)
    assert interval.mean == pytest.approx(np.mean(values))
    scale = stats.sem(values)
    if scale > 0:
        low, _ = stats.t.interval(0.95, len(values) - 1, np.mean(values), scale)
        assert interval.mean - interval.half == pytest.approx(low)


@given(VALUES, st.floats(0, 2))
def test_overlap_widens_by_the_factor_of_nadeau_and_bengio(values: list[float], overlap: float):
    factor = np.sqrt(1 + len(values) * overlap)
    plain, corrected = mean_interval(values), mean_interval(values, overlap)
    assert corrected.half == pytest.approx(factor * plain.half)


@given(VALUES, st.floats(-1, 1))
def test_pairing_removes_what_is_common(values: list[float], shift: float):
    difference = paired_difference([v + shift for v in values], values)
    assert difference.mean == pytest.approx(shift, abs=1e-9)
    assert difference.half == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=3, max_size=12))
def test_p_value_is_students_and_agrees_with_the_interval(pairs: list[tuple[int, int]]):
    own, other = [a / 100 for a, _ in pairs], [b / 100 for _, b in pairs]
    apart = np.array([a - b for a, b in pairs])
    if (apart == apart[0]).all():
        return
    assert paired_p(own, other) == pytest.approx(stats.ttest_rel(own, other).pvalue, abs=1e-9)
    interval = paired_difference(own, other, 0.25)
    p = paired_p(own, other, 0.25)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (abs(interval.mean) > interval.half)


def test_p_value_without_spread_or_of_one_pair():
    assert paired_p([0.5, 0.75], [0.5, 0.75]) == 1.0
    assert paired_p([0.5, 0.75], [0.25, 0.5]) == 1.0
    assert paired_p([0.1 + 0.2, 0.4], [0.2, 0.3], 0.5) == 1.0  # equal but for rounding
    assert paired_p([0.5], [0.25]) is None


def holm_by_definition(p: list[float], level: float) -> list[bool]:
    """Reject the smallest while it is at most level / (number left); stop at the first that is not."""
    rejected = [False] * len(p)
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[index] > level / (len(p) - place):
            break
        rejected[index] = True
    return rejected


@given(P_VALUES, st.floats(0.001, 0.5))
def test_adjusted_p_values_decide_as_the_step_down_procedure(p: list[float], level: float):
    adjusted = holm(p)
    decided = holm_by_definition(p, level)
    for value, rejected in zip(adjusted, decided, strict=True):
        if abs(value - level) > 1e-12:
            assert (value <= level) == rejected


@given(P_VALUES)
def test_adjusted_p_values_keep_the_order_and_lie_between_raw_and_bonferroni(p: list[float]):
    adjusted = holm(p)
    for value, raw in zip(adjusted, p, strict=True):
        assert raw <= value <= min(1.0, len(p) * raw)
    order = sorted(range(len(p)), key=lambda i: p[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_worked_example():
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, and the last is raised to .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_familywise_error():
    """2,000 families of 10 dependent tests without any effect: families with a rejection at .1 are at most
    Binomial(2000, .1); z > 4.3 has probability below 1e-5."""
    generator = np.random.default_rng(0)
    common = generator.normal(size=(2000, 1))
    z = np.sqrt(0.5) * (common + generator.normal(size=(2000, 10)))
    families = sum(min(holm(row.tolist())) <= 0.1 for row in 2 * stats.norm.sf(np.abs(z)))
    assert (families - 200) / np.sqrt(2000 * 0.1 * 0.9) < 4.3


def test_not_p_values():
    with pytest.raises(RangeError, match=r"p must lie in \[0, 1\]; found 1.5"):
        holm([0.5, 1.5])


def test_one_value_has_no_interval():
    interval = mean_interval([0.5])
    assert interval.half is None
    assert (str(interval), interval.percent(), interval.percent("+")) == ("0.500", "50.0", "+50.0")


def test_no_value():
    with pytest.raises(TooFewSamplesError, match="values must hold at least one; found 0"):
        mean_interval([])


def test_negative_overlap():
    with pytest.raises(RangeError, match=r"overlap must not be negative; found -0.5"):
        mean_interval([0.5, 0.6], -0.5)


def test_coverage():
    """95 % intervals of 2,000 Gaussian samples of 5: the count covering 0 is Binomial(2000, .95); |z| < 4.3
    fails with probability 2e-5."""
    generator = np.random.default_rng(0)
    covered = 0
    for sample in generator.normal(size=(2000, 5)):
        interval = mean_interval(sample.tolist())
        covered += abs(interval.mean) <= interval.half
    assert abs(covered - 1900) / np.sqrt(2000 * 0.95 * 0.05) < 4.3


def test_coverage_of_correlated_values():
    """Values with correlation rho have a mean of variance s^2 (1/J + rho / (1 - rho)) in terms of the
    spread s within a sample: intervals with overlap rho / (1 - rho) cover as stated, plain ones do not."""
    generator = np.random.default_rng(0)
    rho, folds = 0.25, 5
    samples = np.sqrt(rho) * generator.normal(size=(2000, 1))
    samples = samples + np.sqrt(1 - rho) * generator.normal(size=(2000, folds))
    counts = {}
    for overlap in (0.0, rho / (1 - rho)):
        intervals = [mean_interval(sample.tolist(), overlap) for sample in samples]
        counts[overlap] = sum(abs(interval.mean) <= interval.half for interval in intervals)
    deviation = np.sqrt(2000 * 0.95 * 0.05)
    assert abs(counts[rho / (1 - rho)] - 1900) / deviation < 4.3
    assert (counts[0.0] - 1900) / deviation < -4.3
