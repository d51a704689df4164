"""Signals: a run that is asked to stop saves and says so; workers do not outlive who started them."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bogc.training.spread import Workers, spread
from bogc.training.stopping import listening
from bogc.training.storage import load_checkpoint
from tests.processes import CONTEXT

from .runs import CONFIG

LONG = replace(CONFIG, epochs=2000)


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


def until(done: Callable[[], Any], seconds: float = 120.0) -> None:
    given_up = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < given_up, "waited in vain"
        time.sleep(0.02)


def command(arguments: list[str], output: Path) -> None:
    """Be the process of ``bogc ARGUMENTS``."""
    from bogc.cli import main

    torch.set_num_threads(1)
    file = output.open("w", encoding="utf-8")
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.argv = ["bogc", *arguments]
    main()


def test_a_run_that_is_asked_to_stop_saves_and_says_so(tmp_path: Path):
    folder = tmp_path / LONG.run_name
    arguments = ["train", "--dataset", LONG.dataset, "--method", "sum", "--epochs", "2000", "--device", "cpu"]
    arguments += ["--batch-size", "30", "--features", "2", "--log-every", "1", "--out", str(tmp_path)]
    process = CONTEXT.Process(target=command, args=(arguments, tmp_path / "output"), daemon=True)
    process.start()
    until((folder / "checkpoint.pt").exists)
    os.kill(process.pid, signal.SIGTERM)
    process.join(120)
    assert process.exitcode == 128 + signal.SIGTERM
    said = (tmp_path / "output").read_text(encoding="utf-8")
    assert "StoppedError: the run must not be stopped; it was, after step " in said
    assert "found SIGTERM. The same command goes on from there." in said
    assert "Traceback" not in said
    saved = load_checkpoint(folder / "checkpoint.pt", LONG.digest)["position"]
    assert 0 < saved["step"] < 6000
    assert saved["step"] == 3 * saved["epoch"] + saved["batch"]


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
