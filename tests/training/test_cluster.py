import importlib.metadata
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bogc.errors import ClusterError, DataError, RunError
from bogc.training import cluster as module
from bogc.training.cluster import connected, examine, on_cluster
from bogc.training.spread import Workers, attempt, spread

from . import works
from .local_cluster import LocalCluster, local_cluster, until

NOBODY = "tcp://127.0.0.1:1"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two workers, for tests that leave them as they are."""
    with local_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def carry(work, items, address: str, shared: Path | None = None):
    return on_cluster(partial(attempt, work), items, address, shared)


def test_results_are_those_of_this_process(cluster: LocalCluster):
    seeds = {f"seed {seed}": seed for seed in range(6)}
    here = dict(spread(works.draw, seeds, Workers(1)))
    assert dict(spread(works.draw, seeds, Workers(cluster=cluster.address))) == here


def test_errors_name_the_run(cluster: LocalCluster):
    with pytest.raises(DataError, match="^run second: folder must hold pictures; found none"):
        list(carry(works.fail, {"second": 1}, cluster.address))
    with pytest.raises(RunError, match="run third must finish; found IndexError: .*in fail"):
        list(carry(works.fail, {"third": 2}, cluster.address))


def test_work_that_workers_cannot_import_is_an_error(cluster: LocalCluster, monkeypatch, tmp_path: Path):
    (tmp_path / "only_here.py").write_text("def work(item):\n    return item\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(RunError, match="run a must be carried out by a worker; found ModuleNotFoundError"):
        list(carry(only_here.work, {"a": 1}, cluster.address))


def test_a_folder_that_workers_do_not_see_is_refused(cluster, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(module, "_token", lambda shared: partial_view(tmp_path / "elsewhere"))
    with pytest.raises(ClusterError, match=f"workers that share the folder {tmp_path}; found .*does not see"):
        list(carry(works.draw, {"a": 1}, cluster.address, tmp_path))


def partial_view(path: Path):
    """A token as a worker sees it whose file system is another."""
    from contextlib import nullcontext

    return nullcontext(str(path))


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


@pytest.mark.parametrize("address", [NOBODY, "", "tcp://", "carrier-pigeon://nest", "tcp://127.0.0.1:port"])
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


def test_a_cluster_without_workers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1.0)
    with (
        local_cluster(tmp_path, workers=0) as empty,
        pytest.raises(ClusterError, match="must have a worker; found none within 1 s. Start some with"),
    ):
        list(carry(works.draw, {"a": 1}, empty.address))


def test_workers_of_several_threads_are_refused(tmp_path: Path):
    with local_cluster(tmp_path, workers=0) as threaded:
        threaded.add_worker("threaded", "--nthreads", "2")
        with pytest.raises(ClusterError, match="workers of one thread; found tcp://.*: 2. Start each with"):
            list(carry(works.draw, {"a": 1}, threaded.address))


def test_a_worker_killed_in_the_middle_loses_nothing_and_its_run_is_run_again(tmp_path: Path):
    """The victim waits until it is begun twice, which only happens if its first worker dies."""
    begun, logs = tmp_path / "begun", tmp_path / "logs"
    begun.mkdir(), logs.mkdir()
    (begun / "victim.c").touch()
    items = {name: (str(begun), name, 0) for name in "abcdef"}
    with local_cluster(logs) as two:

        def kill() -> None:
            until(lambda: len(list(begun.glob("c.*"))) == 1)
            until(lambda: len(list(begun.glob("[abdef].*"))) == 5)
            (first,) = begun.glob("c.*")
            pid = int(first.suffix[1:])
            two.kill(next(name for name, process in two.processes.items() if process.pid == pid))

        killer = threading.Thread(target=kill)
        killer.start()
        found = dict(carry(works.note, items, two.address))
        killer.join()
    assert found == {name: name for name in items}
    assert {name: len(list(begun.glob(f"{name}.*"))) for name in "abdef"} == dict.fromkeys("abdef", 1)
    assert len(list(begun.glob("c.*"))) == 2


def test_a_run_that_kills_each_of_its_workers_ends_in_an_error_with_its_name(tmp_path: Path):
    """The scheduler of the tests allows a piece of work one lost worker."""
    with (
        local_cluster(tmp_path, workers=2) as two,
        pytest.raises(RunError, match="run a must not lose its worker again and again; found"),
    ):
        list(carry(works.die, {"a": (str(tmp_path), "a", 99)}, two.address))


@pytest.mark.parametrize("lost", ["worker-0", "scheduler"])
def test_a_cluster_that_is_lost_is_an_error_and_finished_results_stay(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "ALONE_SECONDS", 1.0)
    (tmp_path / "victim.b").touch()
    items = {name: (str(tmp_path), name, 0) for name in "ab"}
    finished = []
    with local_cluster(tmp_path, workers=1) as one:
        results = carry(works.note, items, one.address)
        finished.append(next(results))
        until(lambda: list(tmp_path.glob("b.*")))
        one.kill(lost)
        started = time.monotonic()
        with pytest.raises(ClusterError, match=r"cluster must (keep a worker until|stay up; it was lost)"):
            finished.extend(results)
    assert finished == [("a", "a")]
    assert time.monotonic() - started < 60
