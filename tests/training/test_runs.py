import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bogc.errors import ClusterError, ConfigError, NonFiniteError
from bogc.training import TrainConfig, runs
from bogc.training import cluster as cluster_module
from bogc.training.runs import fit_all, has_fit, has_result, read_fit, read_result, run_all
from bogc.training.spread import Workers
from tests.local_cluster import LocalCluster, local_cluster, until

from . import finished

BASE = TrainConfig(dataset="tests.tiny:load", epochs=2, batch_size=32, features=4, folds=3, device="cpu")
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

    monkeypatch.setattr(runs, "fit", diverge)
    runs.fit_one(BASE, tmp_path)
    assert read_fit(tmp_path, BASE)["diverged"].startswith("gradient must be finite; found NaN")
    assert not has_result(tmp_path, BASE)
    runs.run_one(BASE, tmp_path)
    assert read_result(tmp_path, BASE) == read_fit(tmp_path, BASE)


def test_an_error_names_the_run_and_others_are_kept(tmp_path: Path):
    good, bad = replace(BASE, method="sum"), replace(BASE, dataset="tests.tiny:nowhere")
    found = run_all([good, bad], tmp_path, HERE)
    assert next(found) == good
    with pytest.raises(ConfigError, match=f"^run {bad.run_name}: dataset must"):
        next(found)
    assert has_result(tmp_path, good)


def test_a_run_that_leaves_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runs, "ARRIVAL_SECONDS", 0.0)
    monkeypatch.setattr(runs, "fit", lambda *arguments: None)
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
