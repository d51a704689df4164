from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bogc.errors import NonFiniteError
from bogc.training import TrainConfig, runs
from bogc.training.runs import default_jobs, fit_all, has_fit, has_result, read_fit, read_result, run_all

from . import finished

BASE = TrainConfig(dataset="tests.tiny:load", epochs=2, batch_size=32, features=4, folds=3, device="cpu")


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_finished_runs_are_not_run_again_and_duplicates_run_once(tmp_path: Path):
    done, new = replace(BASE, method="joint", seed=5), replace(BASE, method="joint", seed=6)
    finished.done(tmp_path, done, accuracy=0.123)
    assert list(run_all([done, new, new], tmp_path, jobs=1)) == [done, new]
    assert read_result(tmp_path, done)["test"]["fused"]["accuracy"] == 0.123
    assert has_result(tmp_path, new)


def test_a_trial_is_fitted_once_and_tested_only_if_chosen(tmp_path: Path):
    config = replace(BASE, method="sum")
    folder = tmp_path / config.run_name
    assert list(fit_all([config], tmp_path, jobs=1)) == [config]
    assert has_fit(tmp_path, config)
    assert not has_result(tmp_path, config)
    before = (folder / "best.pt").stat().st_mtime_ns
    list(run_all([config], tmp_path, jobs=1))
    assert (folder / "best.pt").stat().st_mtime_ns == before
    assert read_result(tmp_path, config)["validation"] == read_fit(tmp_path, config)["validation"]
    assert not (folder / "pictures").exists()


def test_results_do_not_depend_on_the_number_of_processes(tmp_path: Path):
    configs = [replace(BASE, method="sum", seed=seed) for seed in (0, 1)]
    for jobs in (1, 2):
        list(run_all(configs, tmp_path / str(jobs), jobs))
    for config in configs:
        one, two = (read_result(tmp_path / str(jobs), config) for jobs in (1, 2))
        assert one["test"] == two["test"]


def test_divergence_is_an_outcome_of_trial_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverge(*arguments: object) -> None:
        raise NonFiniteError("gradient", "must be finite", "NaN", "Lower the learning rate.")

    monkeypatch.setattr(runs, "fit", diverge)
    runs.fit_one(BASE, tmp_path)
    assert read_fit(tmp_path, BASE)["diverged"].startswith("gradient must be finite; found NaN")
    assert not has_result(tmp_path, BASE)
    runs.run_one(BASE, tmp_path)
    assert read_result(tmp_path, BASE) == read_fit(tmp_path, BASE)


def test_default_jobs_is_positive():
    assert default_jobs() >= 1
