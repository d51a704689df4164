"""Signals: a run that is asked to stop saves and says so; workers do not outlive who started them."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bogc.errors import EnvironmentWarning
from bogc.training.spread import Workers, spread
from bogc.training.stopping import listening
from bogc.training.storage import load_checkpoint
from tests.processes import CONTEXT

from .runs import CONFIG, last_weights, stopped

LONG = replace(CONFIG, epochs=2000)


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


def until(done: Callable[[], Any], seconds: float = 120.0) -> None:
    given_up = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < given_up, "waited in vain"
        time.sleep(0.02)


def command(arguments: list[str], output: Path, variables: dict[str, str]) -> None:
    """Be the process of ``bogc ARGUMENTS``."""
    from bogc.cli import main

    os.environ.update(variables)
    torch.set_num_threads(1)
    file = output.open("w", encoding="utf-8")
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.argv = ["bogc", *arguments]
    main()


def trained(out: Path, number: signal.Signals, processes: int = 1) -> tuple[list[int], list[str]]:
    """Let ``bogc train`` run until it has saved, send each of its processes a signal; how they ended."""
    arguments = ["train", "--dataset", LONG.dataset, "--method", "sum", "--epochs", "2000", "--device", "cpu"]
    arguments += ["--batch-size", "30", "--features", "2", "--log-every", "1", "--out", str(out)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    made = []
    for rank in range(processes):
        place = {"RANK": rank, "WORLD_SIZE": processes, "LOCAL_RANK": rank}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        variables = {name: str(value) for name, value in place.items()} if processes > 1 else {}
        to = (arguments, out / str(rank), variables)
        made.append(CONTEXT.Process(target=command, args=to, daemon=True))
    for process in made:
        process.start()
    until((out / LONG.run_name / "checkpoint.pt").exists)
    for process in made:
        os.kill(process.pid, number)
    for process in made:
        process.join(120)
    said = [(out / str(rank)).read_text(encoding="utf-8") for rank in range(processes)]
    return [process.exitcode for process in made], said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_says_so_and_has_lost_no_bit(tmp_path: Path, number):
    codes, (said,) = trained(tmp_path, number)
    assert codes == [128 + number]
    assert "StoppedError: the run must not be stopped; it was, after step " in said
    assert f"found {number.name}. The same command goes on from there." in said
    assert "Traceback" not in said
    saved = load_checkpoint(tmp_path / LONG.run_name / "checkpoint.pt", LONG.digest)
    step = saved["position"]["step"]
    assert 0 < step < 6000
    assert step == 3 * saved["position"]["epoch"] + saved["position"]["batch"]
    stopped(LONG, tmp_path / "twin", step)
    for name, value in last_weights(tmp_path / "twin").items():
        assert torch.equal(value, saved["model"][name])


def test_sigterm_ends_all_processes_of_a_run_and_what_was_saved_is_whole(tmp_path: Path):
    """As torchrun passes it on: no process waits for another, and the last epoch's checkpoint is left."""
    codes, said = trained(tmp_path, signal.SIGTERM, processes=2)
    assert set(codes) <= {1, 128 + signal.SIGTERM}
    assert any("Stopped by SIGTERM" in text for text in said)
    assert not any("Traceback" in text for text in said)
    saved = load_checkpoint(tmp_path / LONG.run_name / "checkpoint.pt", LONG.digest)
    step = saved["position"]["step"]
    assert step == 3 * saved["position"]["epoch"] > 0
    with pytest.warns(EnvironmentWarning, match="processes 2 -> 1"):
        stopped(LONG, tmp_path / LONG.run_name, 2)  # goes on from there
    again = load_checkpoint(tmp_path / LONG.run_name / "checkpoint.pt", LONG.digest)
    assert again["position"]["step"] == step + 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_only_the_first_signal_is_taken_for_a_request(number: signal.Signals):
    before = signal.getsignal(number)
    with listening() as asked:
        assert asked() == ""
        os.kill(os.getpid(), number)
        until(asked)
        assert asked() == number.name
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_threads_hear_nothing():
    found = []

    def work() -> None:
        with listening() as asked:
            found.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [""]


def linger(folder: str) -> None:
    """Work for ten minutes; says who it is."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def start_workers(folder: Path) -> None:
    list(spread(linger, {name: str(folder) for name in "ab"}, Workers(2)))


def test_workers_end_with_who_started_them(tmp_path: Path):
    process = CONTEXT.Process(target=start_workers, args=(tmp_path,))
    process.start()
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    workers = [path.name for path in tmp_path.iterdir()]
    assert str(process.pid) not in workers
    until(lambda: not any(alive(worker) for worker in workers), seconds=30)


def alive(process: str) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # a zombie has ended
