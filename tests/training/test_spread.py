from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

from bogc.errors import ConfigError, DataError, RangeError, RunError
from bogc.training import spread as module
from bogc.training.spread import Workers, attempt, default_jobs, spread

from . import works

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


@pytest.mark.parametrize("jobs", [1, 2])
def test_any_other_error_is_typed_and_says_where_it_came_from(jobs: int):
    expected = r"^run third must finish; found IndexError: .* \(.*works.py:\d+, in fail\). Mend that"
    with pytest.raises(RunError, match=expected):
        list(spread(works.fail, {"first": 0, "third": 2}, Workers(jobs)))


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
