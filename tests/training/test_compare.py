import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bogc.errors import NonFiniteError
from bogc.training import TrainConfig, compare
from bogc.training.compare import Comparison, by_fold, default_jobs, has_result, read_result, run_all, run_one

BASE = TrainConfig(dataset="tests.tiny:load", epochs=2, batch_size=32, features=4, folds=3, device="cpu")
PLAN = Comparison(BASE, ("joint", "sum"), (0, 1), (0, 1), (0.01, 0.1))


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def fake(root: Path, config: TrainConfig, accuracy: float | None, nll: float = 1.0) -> None:
    folder = root / config.run_name
    folder.mkdir(parents=True)
    result: dict = {"config": config.to_mapping()}
    if accuracy is not None:
        result |= {
            "validation": {"accuracy": accuracy, "nll": nll},
            "test": {"fused": {"accuracy": accuracy}},
        }
    (folder / "result.json").write_text(json.dumps(result))


def test_every_method_gets_the_same_trials():
    trials = PLAN.trials()
    assert len(trials) == len({t.run_name for t in trials}) == 2 * 2 * 2
    assert {t.seed for t in trials} == {0}
    for method in PLAN.methods:
        assert sorted((t.fold, t.lr) for t in trials if t.method == method) == [
            (0, 0.01),
            (0, 0.1),
            (1, 0.01),
            (1, 0.1),
        ]


def test_the_rate_is_chosen_on_validation_for_each_method_and_fold(tmp_path: Path):
    for trial in PLAN.trials():
        better = 0.1 if (trial.method, trial.fold) == ("sum", 1) else 0.01
        fake(tmp_path, trial, accuracy=0.9 if trial.lr == better else 0.5)
    chosen = PLAN.chosen(tmp_path)
    assert {(c.method, c.fold): c.lr for c in chosen} == {
        ("joint", 0): 0.01, ("joint", 1): 0.01, ("sum", 0): 0.01, ("sum", 1): 0.1,
    }  # fmt: skip
    assert sorted({c.seed for c in chosen}) == [0, 1]
    assert len(chosen) == 8


def test_equal_accuracy_is_decided_by_the_loss(tmp_path: Path):
    plan = replace(PLAN, methods=("sum",), folds=(0,))
    for trial in plan.trials():
        fake(tmp_path, trial, accuracy=0.9, nll=1 / trial.lr)
    assert {c.lr for c in plan.chosen(tmp_path)} == {0.1}


def test_a_diverged_trial_is_never_chosen(tmp_path: Path):
    plan = replace(PLAN, methods=("sum",), folds=(0,))
    for trial in plan.trials():
        fake(tmp_path, trial, accuracy=None if trial.lr == 0.1 else 0.1)
    assert {c.lr for c in plan.chosen(tmp_path)} == {0.01}


def test_all_rates_diverged_is_an_error(tmp_path: Path):
    plan = replace(PLAN, methods=("sum",), folds=(0,))
    for trial in plan.trials():
        fake(tmp_path, trial, accuracy=None)
    with pytest.raises(NonFiniteError, match=r"sum on fold 0 must train with some rate; found \(0.01, 0.1\)"):
        plan.chosen(tmp_path)


def test_finished_runs_are_not_run_again_and_duplicates_run_once(tmp_path: Path):
    done, new = replace(BASE, method="joint", seed=5), replace(BASE, method="joint", seed=6)
    fake(tmp_path, done, accuracy=0.123)
    finished = list(run_all([done, new, new], tmp_path, jobs=1))
    assert finished == [done, new]
    assert read_result(tmp_path, done)["test"]["fused"]["accuracy"] == 0.123
    assert has_result(tmp_path, new)


def test_results_do_not_depend_on_the_number_of_processes(tmp_path: Path):
    configs = [replace(BASE, method="sum", seed=seed) for seed in (0, 1)]
    for jobs in (1, 2):
        list(run_all(configs, tmp_path / str(jobs), jobs))
    for config in configs:
        one, two = (read_result(tmp_path / str(jobs), config) for jobs in (1, 2))
        assert one["test"] == two["test"]


def test_divergence_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverge(*arguments: object) -> None:
        raise NonFiniteError("gradient", "must be finite", "NaN", "Lower the learning rate.")

    monkeypatch.setattr(compare, "train", diverge)
    run_one(BASE, tmp_path)
    assert read_result(tmp_path, BASE)["diverged"].startswith("gradient must be finite; found NaN")


def test_by_fold_averages_seeds_within_a_fold():
    results = [{"config": {"fold": f}, "test": {"x": v}} for f, v in [(0, 1.0), (0, 3.0), (1, 5.0)]]
    assert by_fold(results, (0, 1, 2), "test", "x") == [2.0, 5.0]


def test_default_jobs_is_positive():
    assert default_jobs() >= 1
