from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.training.statistics import Difference, Interval
from bogc.training.verdict import judge, p_text, verdict

from .lines import LINES

BETTER = Difference("joint", Interval(0.02, 0.01), 0.004, 0.02)


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        (BETTER, ": better."),
        (replace(BETTER, interval=Interval(-0.02, 0.01)), ": worse."),
        (replace(BETTER, corrected=0.06), ": no difference shown."),
        (replace(BETTER, interval=Interval(0.02, None), p=None, corrected=None), "single fold"),
    ],
)
def test_judgement(difference: Difference, word: str):
    assert word in judge(difference)


def test_figures_are_named():
    text = judge(BETTER)
    assert text == "joint: +2.00 points, 95 % interval ± 1.00, p = 0.004, corrected 0.020: better."


@given(st.floats(0, 1), st.floats(-1, 1))
def test_a_word_other_than_none_needs_a_corrected_p_value_below_the_level(corrected: float, mean: float):
    text = judge(Difference("joint", Interval(mean, 0.1), 0.0, corrected))
    assert ("no difference shown" in text) == (corrected >= 0.05)


def test_every_method_is_judged_against_joint_and_bogc_against_its_sibling():
    joint, total, bogc = LINES
    text = verdict([joint, total, bogc]).splitlines()
    assert [line.split(":")[0] for line in text] == [
        "sum against joint",
        "bogc against joint",
        "bogc against its best sibling by validation, sum",
    ]


def test_a_method_without_differences_is_not_judged():
    assert verdict([replace(LINES[0], joint=None, sibling=None)]) == ""


@pytest.mark.parametrize(
    ("p", "text"), [(0.0, "<0.001"), (0.00099, "<0.001"), (0.001, "0.001"), (1.0, "1.000")]
)
def test_p_text(p: float, text: str):
    assert p_text(p) == text
