import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.training.statistics import Interval
from paper_repro.status import FEWEST_RUNS, WIDEST, Kind, Status, judge, judge_up_to

NUMBERS = st.floats(-100, 100)
HALVES = st.floats(0, 50)
RUNS = st.integers(1, 20)


def overlap(value: float, half: float, mean: float, own: float) -> bool:
    return max(value - half, mean - own) <= min(value + half, mean + own)


@given(NUMBERS, HALVES, NUMBERS, HALVES, RUNS)
def test_reproduced_is_overlap_of_a_fair_test_and_off_is_disjoint(value, half, mean, own, runs):
    status = judge(value, half, Interval(mean, own), runs)
    if abs(abs(mean - value) - half - own) < 1e-9:
        return  # touching: rounding decides
    meets = overlap(value, half, mean, own)
    assert (status.gap == 0) == meets
    assert (status.kind is Kind.OFF) == (not meets and runs >= FEWEST_RUNS)
    fair = runs >= FEWEST_RUNS and own <= max(half, WIDEST * abs(value))
    assert (status.kind is Kind.REPRODUCED) == (meets and fair)


@given(NUMBERS, HALVES, NUMBERS, HALVES, RUNS, st.sampled_from([0.25, 2.0, 64.0]))
def test_units_do_not_matter(value, half, mean, own, runs, factor):
    plain = judge(value, half, Interval(mean, own), runs)
    scaled = judge(factor * value, factor * half, Interval(factor * mean, factor * own), runs)
    assert scaled.kind is plain.kind
    assert scaled.gap == pytest.approx(factor * plain.gap)


@given(NUMBERS, HALVES, NUMBERS, HALVES, RUNS)
def test_sign_does_not_matter(value, half, mean, own, runs):
    plain, mirrored = (judge(s * value, half, Interval(s * mean, own), runs) for s in (1, -1))
    assert (plain.kind, plain.gap, plain.difference) == (mirrored.kind, mirrored.gap, -mirrored.difference)


@given(NUMBERS, HALVES, NUMBERS, HALVES, st.floats(0, 50))
def test_a_larger_published_spread_never_turns_reproduced_away(value, half, mean, own, more):
    if judge(value, half, Interval(mean, own), 10).kind is Kind.REPRODUCED:
        assert judge(value, half + more, Interval(mean, own), 10).kind is Kind.REPRODUCED


@given(NUMBERS, HALVES, NUMBERS, HALVES, st.integers(1, FEWEST_RUNS - 1))
def test_few_runs_are_never_a_verdict(value, half, mean, own, runs):
    assert judge(value, half, Interval(mean, own), runs).kind is Kind.INCONCLUSIVE


@given(NUMBERS, HALVES, NUMBERS)
def test_no_interval_is_never_a_verdict(value, half, mean):
    assert judge(value, half, Interval(mean, None), 20).kind is Kind.INCONCLUSIVE


def test_gap_is_the_distance_of_the_intervals():
    status = judge(10, 0.5, Interval(12, 0.25), 5)
    assert (status.kind, status.difference, status.gap) == (Kind.OFF, 2, 1.25)
    assert str(status) == "off by +2"


def test_an_interval_that_overlaps_with_everything_is_inconclusive():
    assert judge(10, 0.05, Interval(10, 0.2), 5).kind is Kind.INCONCLUSIVE
    assert judge(10, 0.3, Interval(10, 0.2), 5).kind is Kind.REPRODUCED


def test_a_mean_without_spread_is_reproduced_only_within_rounding():
    assert judge(98.25, 0.005, Interval(98.25, 0.0), 10).kind is Kind.REPRODUCED
    assert judge(98.25, 0.005, Interval(98.0, 0.0), 10).kind is Kind.OFF


def test_infinite_values_are_off():
    assert judge(10, 1, Interval(math.inf, 0.0), 5).kind is Kind.OFF


READINGS = st.lists(st.lists(st.floats(0.1, 100), min_size=5, max_size=7), min_size=1, max_size=3)


@given(st.floats(0.1, 100), READINGS)
def test_up_to_needs_every_run_of_every_reading(value, readings):
    kind = judge_up_to(value, readings).kind
    above = {run >= value for reading in readings for run in reading}
    assert kind is {(True,): Kind.REPRODUCED, (False,): Kind.OFF}.get(tuple(above), Kind.INCONCLUSIVE)


@given(st.floats(0.1, 100), READINGS)
def test_up_to_from_few_runs_is_never_a_verdict(value, readings):
    few = [*readings, [1.0] * (FEWEST_RUNS - 1)]
    assert judge_up_to(value, few).kind is Kind.INCONCLUSIVE


def test_up_to_shows_the_range_of_every_reading_and_no_difference():
    status = judge_up_to(20, [[4, 5, 4, 4, 4.5], [2000, 1900, 2100, 2000, 2000]])
    assert status == Status(Kind.INCONCLUSIVE, reason="the reading decides: 4 to 5; 1,900 to 2,100")
    assert str(judge_up_to(20, [[4] * 5])) == "off"


def test_words():
    assert str(Status(Kind.NEEDS_DATA, reason="x")) == "needs data"
