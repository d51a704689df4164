from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.balancing.methods import METHODS
from bogc.balancing.search import Choice
from bogc.training import TrainConfig
from bogc.training.search import search_space, settings_of, stratified, trials, with_settings

BASE = TrainConfig(folds=3)


@given(st.integers(1, 64), st.integers(0, 20), st.integers(0, 8))
def test_each_column_has_one_number_in_each_part(count: int, seed: int, column: int):
    sample = stratified(count, seed, column)
    assert sorted(int(q * count) for q in sample) == list(range(count))
    assert sample == stratified(count, seed, column)


def test_seeds_and_columns_differ():
    samples = {tuple(stratified(8, seed, column)) for seed in range(5) for column in range(4)}
    assert len(samples) == 20


def test_the_space_is_the_learning_rate_and_the_methods_own_settings():
    for method, spec in METHODS.items():
        space = search_space(BASE, method)
        assert next(iter(space)) == ("lr",)
        assert {setting[0] for setting in space} <= {"lr", spec.table}
    assert list(search_space(BASE, "joint")) == [("lr",)]


@pytest.mark.parametrize("method", METHODS)
def test_trials_are_valid_distinct_and_share_their_learning_rates(method: str):
    found = trials(BASE, method, fold=1, budget=6)
    assert len({trial.digest for trial in found}) == 6
    assert {(trial.method, trial.fold) for trial in found} == {(method, 1)}
    assert [t.lr for t in found] == [t.lr for t in trials(BASE, "joint", fold=1, budget=6)]
    assert [t.lr for t in found] != [t.lr for t in trials(BASE, method, fold=2, budget=6)]


def test_a_trial_changes_only_what_is_searched():
    space = search_space(BASE, "bogc")
    for trial in trials(BASE, "bogc", fold=0, budget=4):
        restored = {setting: settings_of(BASE, {setting: d}) for setting, d in space.items()}
        values = {setting: next(iter(found.values())) for setting, found in restored.items()}
        assert with_settings(trial, values) == replace(BASE, method="bogc", fold=0)


def test_a_budget_of_one_is_the_configured_values():
    base = replace(BASE, lr=0.123)
    assert trials(base, "sum", fold=2, budget=1) == [replace(base, method="sum", fold=2)]


def test_settings_by_dotted_name():
    config = with_settings(BASE, {("lr",): 0.25, ("calibration", "decay"): 0.5, ("calibration", "groups"): 3})
    assert (config.lr, config.calibration.decay, config.calibration.groups) == (0.25, 0.5, 3)
    found = settings_of(config, dict.fromkeys([("lr",), ("calibration", "decay")], Choice((0,))))
    assert found == {"lr": 0.25, "calibration.decay": 0.5}
