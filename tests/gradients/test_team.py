import os
import signal
import time
from pathlib import Path

import pytest
import torch

from bogc.errors import ProcessError
from bogc.gradients import Alone, Processes, current_team
from bogc.gradients import team as module
from tests.processes import finish, start, together


def test_alone_gives_back_what_it_gets():
    alone, values = Alone(), [torch.ones(2), torch.zeros(3, 1)]
    assert all(a is b for a, b in zip(alone.sum(values), values, strict=True))
    assert alone.gather([3, 4], values[0]) == [[3, 4]]
    assert alone.tell("word") == ["word"]
    assert alone.from_first({"a": 1}) == {"a": 1}
    assert (alone.size, alone.rank) == (1, 0)
    assert isinstance(current_team(), Alone)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with alone.one_generator():
        assert torch.equal(torch.rand(2), expected)


def test_buckets_keep_order_and_dtypes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BUCKET", 5)
    values = [
        torch.ones(2),
        torch.ones(3),
        torch.ones(1),
        torch.ones(9),
        torch.ones(1).float(),
        torch.ones(1),
    ]
    sizes = [[value.numel() for value in bucket] for bucket in module._buckets(values)]
    assert sizes == [[2, 3], [1], [9], [1], [1]]
    assert not list(module._buckets([]))


def exchange(rank: int, size: int) -> dict:
    team = current_team()
    values = [torch.full((2, 3), float(rank)), torch.arange(4).float() * rank, torch.tensor(1.0)]
    torch.manual_seed(rank)
    before = torch.get_rng_state()
    with team.one_generator():
        drawn = torch.rand(3)
    return {
        "team": (type(team), team.size, team.rank),
        "sum": team.sum(values),
        "gather": team.gather([rank, 7], values[0]),
        "tell": team.tell(f"from {rank}"),
        "first": team.from_first(f"from {rank}"),
        "drawn": drawn,
        "moved": not torch.equal(before, torch.get_rng_state()),
    }


def test_processes_exchange(tmp_path: Path):
    found = together(exchange, 2, tmp_path)
    torch.manual_seed(0)
    drawn = torch.rand(3)
    for rank, one in enumerate(found):
        assert one["team"] == (Processes, 2, rank)
        assert [value.tolist() for value in one["sum"]] == [[[1.0] * 3] * 2, [0.0, 1.0, 2.0, 3.0], 2.0]
        assert one["sum"][1].dtype == torch.float32
        assert one["gather"] == [[0, 7], [1, 7]]
        assert one["tell"] == ["from 0", "from 1"]
        assert one["first"] == "from 0"
        assert torch.equal(one["drawn"], drawn)
        assert one["moved"] == (rank == 0)


def sum_for_ever(rank: int, size: int, folder: Path) -> None:
    team = current_team()
    while True:
        team.sum([torch.ones(3)])
        (folder / f"running {rank}").touch()


@pytest.mark.parametrize(
    ("signum", "seconds"), [(signal.SIGKILL, 60.0), (signal.SIGSTOP, 5.0)], ids=["killed", "stopped"]
)
def test_a_lost_process_ends_the_others_with_an_error(signum: int, seconds: float, tmp_path: Path):
    """Killed: its connection closes. Stopped: the time of the group runs out. Neither hangs."""
    processes = start(sum_for_ever, 2, tmp_path, tmp_path, seconds=seconds)
    while not (tmp_path / "running 1").exists():
        assert all(process.is_alive() for process in processes)
        time.sleep(0.05)
    os.kill(processes[1].pid, signum)
    (error,) = finish(processes, tmp_path, only=(0,))
    processes[1].kill()
    processes[1].join()
    assert isinstance(error, ProcessError)
    assert "process group must reach every process" in str(error)
    assert "start again from the last checkpoint" in str(error)
