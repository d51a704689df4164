import importlib.metadata
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from bogc.errors import ClusterError, DataError, RunError
from bogc.training import cluster as module
from bogc.training.cluster import connected, examine, on_cluster
from bogc.training.spread import Workers, attempt, spread
from tests.local_cluster import LocalCluster, local_cluster

from . import works

NOBODY = "tcp://127.0.0.1:1"


def carry(work, items, address: str, shared: Path | None = None):
    return on_cluster(partial(attempt, work), items, address, shared)


def test_results_are_those_of_this_process(cluster: LocalCluster):
    seeds = {f"seed {seed}": seed for seed in range(6)}
    here = dict(spread(works.draw, seeds, Workers(1)))
    assert dict(spread(works.draw, seeds, Workers(cluster=cluster.address))) == here


def test_errors_name_the_run(cluster: LocalCluster):
    with pytest.raises(DataError, match=r"^run second: folder must hold pictures; found none"):
        list(carry(works.fail, {"second": 1}, cluster.address))
    with pytest.raises(RunError, match=r"run third must finish; found IndexError: .*in fail"):
        list(carry(works.fail, {"third": 2}, cluster.address))


def test_work_that_workers_cannot_import_is_an_error(cluster: LocalCluster, monkeypatch, tmp_path: Path):
    (tmp_path / "only_here.py").write_text("def work(item):\n    return item\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(RunError, match="run a must be carried out by a worker; found ModuleNotFoundError"):
        list(carry(only_here.work, {"a": 1}, cluster.address))


def test_a_folder_that_workers_do_not_see_is_refused(cluster, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(module, "_token", lambda shared: nullcontext(str(tmp_path / "on another machine")))
    with pytest.raises(ClusterError, match=f"workers that share the folder {tmp_path}; found .*does not see"):
        list(carry(works.draw, {"a": 1}, cluster.address, tmp_path))


def test_a_shared_folder_is_left_as_it_was(cluster: LocalCluster, tmp_path: Path):
    assert dict(carry(works.threads, {"a": 1}, cluster.address, tmp_path)) == {"a": 1}
    assert list(tmp_path.iterdir()) == []


def test_other_versions_are_refused(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        module, "version", lambda name: f"{importlib.metadata.version(name)}.dev" if name == "torch" else ""
    )
    with pytest.raises(ClusterError, match=r"must have workers with .*torch.*\.dev.*; found tcp://"):
        list(carry(works.draw, {"a": 1}, cluster.address))


def test_a_worker_says_what_it_has(tmp_path: Path):
    assert examine("")["sees"] is True
    assert examine(str(tmp_path / "absent"))["sees"] is False
    assert examine("")["versions"]["torch"] == importlib.metadata.version("torch")


@pytest.mark.parametrize("address", [NOBODY, "tcp://", "carrier-pigeon://nest", "tcp://127.0.0.1:port"])
def test_an_address_where_nobody_answers_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("distributed", reason="the optional package distributed is not installed")
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1.0)
    with (
        pytest.raises(ClusterError, match="cluster must be the address of a Dask scheduler that answers"),
        connected(address),
    ):
        pass


def test_without_distributed_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DISTRIBUTED", False)
    with pytest.raises(ClusterError, match=r"needs Dask's distributed; .* pip install 'bogc\[cluster\]'"):
        list(carry(works.draw, {"a": 1}, NOBODY))


def test_a_cluster_without_workers_or_with_threads_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.1)
    with local_cluster(tmp_path, workers=0) as small:
        with pytest.raises(ClusterError, match=r"must have a worker; found none within 0.1 s. Start some"):
            list(carry(works.draw, {"a": 1}, small.address))
        small.add_workers(1, threads=2)
        with pytest.raises(ClusterError, match=r"workers of one thread; found tcp://.*: 2. Start each with"):
            list(carry(works.draw, {"a": 1}, small.address))


def test_a_run_that_kills_its_workers_ends_in_an_error_with_its_name(tmp_path: Path):
    with (
        local_cluster(tmp_path, workers=1, allowed=0) as one,
        pytest.raises(RunError, match="run a must not lose its worker again and again; found"),
    ):
        list(carry(works.die, {"a": (str(tmp_path), "a", 99)}, one.address))


def test_runs_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "ALONE_SECONDS", 0.05)
    done, never = Future(), Future()
    done.set_result(1)
    futures = module._as_done([done, never], lambda: 0)
    assert next(futures) is done
    with pytest.raises(ClusterError, match=r"must keep a worker .*; found none for 0.05 s, 1 runs to go"):
        next(futures)
