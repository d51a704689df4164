import importlib.metadata
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch

from bogc.distributed import SingleProcess, current_group
from bogc.errors import ClusterError, ConfigError, DataError, ProcessError, RangeError, RunError
from bogc.training import spread as module
from bogc.training.spread import (
    Workers,
    attempt,
    check_batch,
    connected,
    default_jobs,
    examine,
    launched,
    on_cluster,
    spread,
)
from tests.local_cluster import LocalCluster, local_cluster

from . import works

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "environment", [{}, {"WORLD_SIZE": "4"}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "0"}]
)
def test_without_a_launcher_there_is_one_process(environment: dict, monkeypatch: pytest.MonkeyPatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with launched(5) as team:
        assert isinstance(team, SingleProcess)
        assert isinstance(current_group(), SingleProcess)


def test_others_that_do_not_come_are_missed(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for name, value in zip(VARIABLES, ("0", "2", "127.0.0.1", str(port)), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(ProcessError, match="process group must reach every process"), launched(2):
        pass


class Three(SingleProcess):
    size = 3


def test_every_process_needs_a_sample():
    check_batch(3, Three())
    message = "batch_size must have a sample for each of 3 processes; found 2. Use larger batches or fewer"
    with pytest.raises(ConfigError, match=message):
        check_batch(2, Three())


SEEDS = {f"seed {seed}": seed for seed in range(6)}


@pytest.fixture(autouse=True)
def restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_results_do_not_depend_on_the_number_of_processes():
    one, two = (dict(spread(works.draw, SEEDS, Workers(jobs))) for jobs in (1, 2))
    assert one == two
    assert one.keys() == SEEDS.keys()
    assert len(set(one.values())) == len(SEEDS)


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_process_computes_with_one_thread(jobs: int):
    torch.set_num_threads(2)
    assert dict(spread(works.threads, {"a": 0, "b": 1}, Workers(jobs))) == {"a": 1, "b": 1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_ours_keeps_its_type_and_names_the_run(jobs: int):
    with pytest.raises(DataError, match=r"^run second: folder must hold pictures; found none. Unpack them.$"):
        list(spread(works.fail, {"first": 0, "second": 1}, Workers(jobs)))


def test_any_other_error_is_typed_and_says_where_it_came_from():
    """How an error comes from another process is shown above; on a cluster this one does too."""
    expected = r"^run third must finish; found IndexError: .* \(.*works.py:\d+, in fail\). Mend that"
    with pytest.raises(RunError, match=expected):
        list(spread(works.fail, {"first": 0, "third": 2}, Workers(1)))


def test_what_a_killed_process_was_at_is_begun_again(tmp_path: Path):
    deaths = {"a": 0, "b": 1, "c": 0}
    items = {name: (str(tmp_path), name, count) for name, count in deaths.items()}
    assert sorted(spread(works.die, items, Workers(2))) == [(name, name) for name in items]
    assert len(list(tmp_path.glob("b.*"))) == 2


def test_a_process_that_is_always_killed_ends_in_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "DEATHS", 0)
    items = {name: (str(tmp_path), name, 99) for name in ("a", "b")}
    with pytest.raises(RunError, match="a run must not be killed; a process was, 1 times; found one of a, b"):
        list(spread(works.die, items, Workers(2)))


def test_threads_of_one_process_take_turns():
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(partial(attempt, works.overlap, "turn"), range(4)))
        assert any(pool.map(works.overlap, range(4)))  # without turns they would meet


def test_nothing_to_do_needs_nobody():
    assert list(spread(works.fail, {}, Workers(cluster="tcp://nobody:1"))) == []


def test_jobs_and_a_cluster_exclude_each_other():
    with pytest.raises(ConfigError, match="jobs must be left out with a cluster, whose workers are its own"):
        Workers(jobs=2, cluster="tcp://host:8786")
    with pytest.raises(RangeError, match="jobs must not be negative; found -1"):
        Workers(jobs=-1)


def test_default_jobs_is_positive():
    assert Workers().processes == default_jobs() >= 1
    assert Workers(3).processes == 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two workers, for tests that leave them as they are."""
    with local_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as found:
        yield found


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
    monkeypatch.setitem(sys.modules, "distributed", None)
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
