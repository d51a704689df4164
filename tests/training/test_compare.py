import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import ClusterError, ConfigError, NonFiniteError, RangeError
from bogc.methods import METHODS
from bogc.training import TrainConfig
from bogc.training import compare as module
from bogc.training import spread as cluster_module
from bogc.training.compare import (
    Comparison,
    fit_all,
    has_fit,
    has_result,
    read_fit,
    read_result,
    run_all,
    search_space,
    search_trials,
    settings_of,
    stratified,
    unsuitable,
)
from bogc.training.spread import Workers
from tests import tiny
from tests.local_cluster import LocalCluster, local_cluster, until

from . import finished

BASE = TrainConfig(dataset="tests.tiny:load", epochs=2, batch_size=32, features=4, folds=3, device="cpu")


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
        assert next(iter(space)) == "lr"
        assert {setting.split(".")[0] for setting in space} <= {"lr", spec.table}
    assert list(search_space(BASE, "joint")) == ["lr"]


@pytest.mark.parametrize("method", METHODS)
def test_trials_are_valid_distinct_and_share_their_learning_rates(method: str):
    found = search_trials(BASE, method, fold=1, budget=6)
    assert len({trial.digest for trial in found}) == 6
    assert {(trial.method, trial.fold) for trial in found} == {(method, 1)}
    assert [t.lr for t in found] == [t.lr for t in search_trials(BASE, "joint", fold=1, budget=6)]
    assert [t.lr for t in found] != [t.lr for t in search_trials(BASE, method, fold=2, budget=6)]


def test_a_trial_changes_only_what_is_searched():
    space = search_space(BASE, "bogc")
    for trial in search_trials(BASE, "bogc", fold=0, budget=4):
        assert trial.altered(settings_of(BASE, space)) == replace(BASE, method="bogc", fold=0)


def test_a_budget_of_one_is_the_configured_values():
    base = replace(BASE, lr=0.123)
    assert search_trials(base, "sum", fold=2, budget=1) == [replace(base, method="sum", fold=2)]


def test_settings_by_dotted_name():
    config = BASE.altered({"lr": 0.25, "calibration.decay": 0.5, "calibration.groups": 3})
    assert (config.lr, config.calibration.decay, config.calibration.groups) == (0.25, 0.5, 3)
    assert settings_of(config, ["lr", "calibration.decay"]) == {"lr": 0.25, "calibration.decay": 0.5}


HERE = Workers(jobs=1)


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_finished_runs_are_not_run_again_and_duplicates_run_once(tmp_path: Path):
    done, new = replace(BASE, method="joint", seed=5), replace(BASE, method="joint", seed=6)
    finished.done(tmp_path, done, accuracy=0.123)
    assert list(run_all([done, new, new], tmp_path, HERE)) == [done, new]
    assert read_result(tmp_path, done)["test"]["fused"]["accuracy"] == 0.123
    assert has_result(tmp_path, new)


def test_a_trial_is_fitted_once_and_tested_only_if_chosen(tmp_path: Path):
    config = replace(BASE, method="sum")
    folder = tmp_path / config.run_name
    assert list(fit_all([config], tmp_path, HERE)) == [config]
    assert has_fit(tmp_path, config)
    assert not has_result(tmp_path, config)
    before = (folder / "best.pt").stat().st_mtime_ns
    list(run_all([config], tmp_path, HERE))
    assert (folder / "best.pt").stat().st_mtime_ns == before
    assert read_result(tmp_path, config)["validation"] == read_fit(tmp_path, config)["validation"]
    assert not (folder / "pictures").exists()


def test_results_do_not_depend_on_the_number_of_processes(tmp_path: Path):
    configs = [replace(BASE, method="sum", seed=seed) for seed in (0, 1)]
    for jobs in (1, 2):
        list(run_all(configs, tmp_path / str(jobs), Workers(jobs)))
    for config in configs:
        one, two = (read_result(tmp_path / str(jobs), config) for jobs in (1, 2))
        assert one["test"] == two["test"]


def test_divergence_is_an_outcome_of_trial_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverge(*arguments: object) -> None:
        raise NonFiniteError("gradient", "must be finite", "NaN", "Lower the learning rate.")

    monkeypatch.setattr(module, "fit", diverge)
    module.fit_one(BASE, tmp_path)
    assert read_fit(tmp_path, BASE)["diverged"].startswith("gradient must be finite; found NaN")
    assert not has_result(tmp_path, BASE)
    module.run_one(BASE, tmp_path)
    assert read_result(tmp_path, BASE) == read_fit(tmp_path, BASE)


def test_an_error_names_the_run_and_others_are_kept(tmp_path: Path):
    good, bad = replace(BASE, method="sum"), replace(BASE, dataset="tests.tiny:nowhere")
    found = run_all([good, bad], tmp_path, HERE)
    assert next(found) == good
    with pytest.raises(ConfigError, match=f"^run {bad.run_name}: dataset must"):
        next(found)
    assert has_result(tmp_path, good)


def test_a_run_that_leaves_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ARRIVAL_SECONDS", 0.0)
    monkeypatch.setattr(module, "fit", lambda *arguments: None)
    with pytest.raises(ClusterError, match=f"run {BASE.run_name} must leave its files below {tmp_path}"):
        list(fit_all([BASE], tmp_path, HERE))


@pytest.mark.slow
def test_a_killed_worker_loses_no_finished_run_and_its_own_is_run_again(tmp_path: Path, monkeypatch):
    """Then the scheduler goes too, with a run under way: what is finished stays, and the rest can be run."""
    begun, logs, out = tmp_path / "begun", tmp_path / "logs", tmp_path / "runs"
    begun.mkdir(), logs.mkdir()
    configs = [replace(BASE, method="sum", seed=seed) for seed in range(3)]
    victim = replace(BASE, method="sum", dataset="tests.training.works:load_victim")
    kept: dict[Path, int] = {}

    def kill(cluster: LocalCluster) -> None:
        until(lambda: all(has_result(out, config) for config in configs) and list(begun.iterdir()))
        kept.update({path: path.stat().st_mtime_ns for path in out.glob("*/*")})
        cluster.kill(int(next(begun.iterdir()).name))

    with local_cluster(logs, workers=2, environment={"BOGC_TEST_BEGUN": str(begun)}) as cluster:
        killer = threading.Thread(target=kill, args=[cluster])
        killer.start()
        done = list(run_all([victim, *configs], out, Workers(cluster=cluster.address)))
        killer.join()
        assert sorted(done, key=lambda c: c.run_name) == sorted([victim, *configs], key=lambda c: c.run_name)
        assert len(list(begun.iterdir())) == 2
        assert has_result(out, victim)
        assert kept == {path: path.stat().st_mtime_ns for path in kept}
        for file in begun.iterdir():
            file.unlink()
        last = replace(victim, dataset="tests.training.works:load_last")
        again = run_all([last], out, Workers(cluster=cluster.address))
        stopper = threading.Thread(
            target=lambda: (until(lambda: list(begun.iterdir())), cluster.kill(cluster.processes[0].pid))
        )
        stopper.start()
        monkeypatch.setattr(cluster_module, "ALONE_SECONDS", 1.0)
        with pytest.raises(ClusterError, match=r"cluster must (stay up; it was lost during|keep a worker)"):
            list(again)
        stopper.join()
    here = tmp_path / "here"
    list(run_all(configs, here, HERE))
    assert [read_result(here, c)["test"] for c in configs] == [read_result(out, c)["test"] for c in configs]


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
