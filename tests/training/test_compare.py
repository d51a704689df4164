from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bogc.balancing.methods import METHODS
from bogc.errors import ConfigError, RangeError
from bogc.training import TrainConfig
from bogc.training.compare import Comparison, unsuitable
from tests import tiny

from . import finished

BASE = TrainConfig(dataset="tests.tiny:load", epochs=2, batch_size=32, features=4, folds=3, device="cpu")
PLAN = Comparison(BASE, ("joint", "sum", "bogc"), (0, 1), (3, 5), 4)


def test_every_method_gets_as_many_trials_at_the_same_learning_rates():
    trials = PLAN.trials()
    assert len(trials) == len({t.run_name for t in trials}) == 3 * 2 * 4
    assert {t.seed for t in trials} == {3}
    rates = {m: sorted((t.fold, t.lr) for t in trials if t.method == m) for m in PLAN.methods}
    assert rates["joint"] == rates["sum"] == rates["bogc"]
    assert {t.lr for t in trials if t.fold == 0}.isdisjoint(t.lr for t in trials if t.fold == 1)


def test_runs_are_counted_with_the_other_seeds(tmp_path: Path):
    trials = PLAN.trials()
    for trial in trials:
        finished.fitted(tmp_path, trial, 0.5)
    assert len({c.run_name for c in (*trials, *PLAN.chosen(tmp_path))}) == PLAN.fits == 3 * 2 * (4 + 1)


def test_settings_are_chosen_on_validation_for_each_method_and_fold(tmp_path: Path):
    best = {(m, f): PLAN.trials_of(m, f)[i] for i, (m, f) in enumerate([("joint", 0), ("sum", 1)])}
    for trial in PLAN.trials():
        finished.fitted(tmp_path, trial, 0.9 if trial in best.values() else 0.5, nll=trial.lr)
    chosen = PLAN.chosen(tmp_path)
    assert len(chosen) == 3 * 2 * 2
    for (method, fold), trial in best.items():
        found = [c for c in chosen if (c.method, c.fold) == (method, fold)]
        assert found == [replace(trial, seed=3), replace(trial, seed=5)]
    bogc = [c for c in chosen if (c.method, c.fold) == ("bogc", 0)]  # equal accuracy: the lower loss
    assert {c.lr for c in bogc} == {min(t.lr for t in PLAN.trials_of("bogc", 0))}


def test_a_diverged_trial_is_never_chosen(tmp_path: Path):
    first, *others = PLAN.trials_of("sum", 0)
    finished.fitted(tmp_path, first, 0.0, nll=1e9)
    for trial in others:
        finished.diverged(tmp_path, trial)
    assert PLAN.best_trial(tmp_path, "sum", 0) == first


def test_a_method_whose_every_trial_diverged_is_left_out(tmp_path: Path):
    for trial in PLAN.trials():
        if trial.method == "sum" and trial.fold == 1:
            finished.diverged(tmp_path, trial)
        else:
            finished.fitted(tmp_path, trial, 0.5)
    found = {(c.method, c.fold) for c in PLAN.chosen(tmp_path)}
    assert found == {("joint", 0), ("joint", 1), ("sum", 0), ("bogc", 0), ("bogc", 1)}


def test_overlap_is_that_of_the_folds():
    """Of five folds three train, one validates and one tests."""
    assert replace(PLAN, base=replace(BASE, folds=5)).overlap == pytest.approx(1 / 3)


def test_methods_that_do_not_suit_the_network_are_named_with_a_reason():
    torch.set_default_dtype(torch.float32)
    found = unsuitable(BASE, METHODS, tiny.load())
    assert found.keys() == {"ogm-ge-released"}
    assert found["ogm-ge-released"].startswith("encoders must have a 4-D weight")


def test_some_method_is_needed():
    with pytest.raises(RangeError, match="methods must name one that suits the network; found 0"):
        replace(PLAN, methods=())


def test_a_budget_is_positive():
    with pytest.raises(RangeError, match="budget must be at least 1; found 0"):
        replace(PLAN, budget=0)


@pytest.mark.parametrize("change", [{"methods": ("sum", "sum")}, {"folds": (0, 1, 0)}, {"seeds": (3, 3)}])
def test_nothing_is_named_twice(change: dict):
    (name,) = change
    with pytest.raises(ConfigError, match=f"^{name} must name each once; found"):
        replace(PLAN, **change)
