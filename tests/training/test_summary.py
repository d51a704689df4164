from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.training import TrainConfig
from bogc.training.compare import Comparison
from bogc.training.statistics import Difference, Interval, holm, mean_interval, paired_difference, paired_p
from bogc.training.summary import best_siblings, by_fold, differences, judge, p_text, rows, verdict

from . import finished
from .lines import LINES

PLAN = Comparison(TrainConfig(folds=4), ("joint", "sum", "bogc"), (0, 1, 2, 3), (0, 1), 2)
ACCURACY = {
    "joint": [0.80, 0.70, 0.90, 0.85],
    "sum": [0.81, 0.73, 0.90, 0.87],
    "bogc": [0.70, 0.61, 0.79, 0.75],
}
VALIDATION = {"joint": 0.7, "sum": 0.6, "bogc": 0.9}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for trial in PLAN.trials():
        chosen = trial == PLAN.trials_of(trial.method, trial.fold)[1]
        finished.fitted(tmp_path, trial, VALIDATION[trial.method] if chosen else 0.1)
        for seed in PLAN.seeds if chosen else ():
            accuracy = ACCURACY[trial.method][trial.fold] + 0.01 * (2 * seed - 1)
            finished.done(tmp_path, replace(trial, seed=seed), accuracy, VALIDATION[trial.method])
    return tmp_path


def test_rows_are_over_folds_with_seeds_averaged(root: Path):
    joint, total, bogc = rows(PLAN, root)
    assert joint.accuracy.mean == pytest.approx(0.8125)
    assert joint.accuracy.half == pytest.approx(mean_interval(ACCURACY["joint"], 1 / 2).half)
    assert total.joint.interval.mean == pytest.approx(0.015)
    assert bogc.without["audio"].mean == pytest.approx(bogc.accuracy.mean - 0.4)
    assert bogc.probes["video"].mean == pytest.approx(bogc.accuracy.mean - 0.3)
    assert (joint.milliseconds, joint.megabytes) == (pytest.approx(10.0), pytest.approx(2.0))
    assert [c["lr"] for c in joint.chosen] == [PLAN.trials_of("joint", fold)[1].lr for fold in range(4)]
    assert (joint.folds, joint.diverged_trials, joint.diverged_runs) == (4, 0, 0)


def test_differences_are_paired_and_corrected_within_their_column(root: Path):
    joint, total, bogc = rows(PLAN, root)
    assert joint.joint is None
    expected = paired_difference(ACCURACY["bogc"], ACCURACY["joint"], PLAN.overlap)
    assert bogc.joint.interval.half == pytest.approx(expected.half)
    raw = [paired_p(ACCURACY[m], ACCURACY["joint"], PLAN.overlap) for m in ("sum", "bogc")]
    assert [total.joint.corrected, bogc.joint.corrected] == pytest.approx(holm(raw))
    assert [line.sibling.reference for line in (joint, total, bogc)] == ["bogc", "bogc", "joint"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1)))
def test_the_best_sibling_is_another_and_none_is_better(validation: dict[str, float]):
    found = best_siblings(validation)
    assert found.keys() == (validation.keys() if len(validation) > 1 else set())
    for method, sibling in found.items():
        assert sibling != method
        assert validation[sibling] == max(value for name, value in validation.items() if name != method)


def test_a_method_that_diverged_everywhere_has_a_row_without_numbers(root: Path):
    for trial in PLAN.trials():
        if trial.method == "sum":
            finished.diverged(root, trial)
    joint, total, bogc = rows(PLAN, root)
    assert (total.folds, total.accuracy, total.joint, total.probes, total.chosen) == (0, None, None, {}, ())
    assert total.diverged_trials == 8
    assert bogc.sibling.reference == "joint"
    assert joint.sibling.reference == "bogc"


def test_a_fold_without_a_result_forbids_pairing(root: Path):
    for trial in PLAN.trials_of("sum", 2):
        finished.diverged(root, trial)
    _, total, bogc = rows(PLAN, root)
    assert total.folds == 3
    assert total.accuracy.mean == pytest.approx((0.81 + 0.73 + 0.87) / 3)
    assert (total.joint, total.sibling) == (None, None)
    assert bogc.joint.corrected == bogc.joint.p  # the only comparison left


def test_a_seed_that_diverged_is_counted(root: Path):
    finished.diverged(root, replace(PLAN.trials_of("joint", 0)[1], seed=1), "result.json")
    joint, _, _ = rows(PLAN, root)
    assert (joint.folds, joint.diverged_runs) == (4, 1)
    assert joint.accuracy.mean == pytest.approx(0.8125 - 0.01 / 4)


def test_without_joint_there_is_no_difference_to_it(root: Path):
    total, bogc = rows(replace(PLAN, methods=("sum", "bogc")), root)
    assert (total.joint, bogc.joint) == (None, None)
    assert bogc.sibling.reference == "sum"


def test_one_fold_has_differences_without_a_p_value(root: Path):
    joint, total, _ = rows(replace(PLAN, folds=(1,)), root)
    assert joint.accuracy.half is None
    assert (total.joint.interval.half, total.joint.p, total.joint.corrected) == (None, None, None)
    assert total.joint.interval.mean == pytest.approx(0.03)


def test_pairs_are_matched_by_fold_whatever_their_order():
    values = {"a": {2: 0.5, 1: 0.25}, "b": {1: 0.25, 2: 0.0}}
    assert differences(values, {"a": "b"}, 0.0)["a"].interval.mean == pytest.approx(0.25)


def test_by_fold_averages_seeds_within_a_fold():
    results = [{"config": {"fold": f}, "test": {"x": v}} for f, v in [(1, 5.0), (0, 1.0), (0, 3.0)]]
    assert by_fold(results, "test", "x") == {0: 2.0, 1: 5.0}


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
