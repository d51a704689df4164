"""Several processes: what goes wrong in one ends the others, with a word about where."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from bogc.distributed import current_group
from bogc.errors import BogcError, LockedError, ProcessError
from bogc.methods import BOGC
from bogc.training.loop import fit, prepare
from bogc.training.storage import alone_in
from tests import tiny
from tests.networks import PlainNetwork, losses_of
from tests.processes import finish, start, together

from .runs import CONFIG


def word(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def wrong_in_one(rank: int, size: int, folder: Path) -> list[str]:
    """No losses in process 0, a bug in process 1's closure, a locked folder: what each says, and goes on."""
    network = PlainNetwork()
    balancer = BOGC(network.partition())

    def broken() -> dict:
        return {"fusion": 1 / 0} if rank == 1 else losses_of(network)

    def train() -> None:
        torch.set_default_dtype(torch.float32)
        fit(CONFIG, prepare(CONFIG, tiny.load()), folder / "locked", team=current_group())

    attempts = [
        lambda: balancer.backward(None if rank == 0 else losses_of(network)),
        lambda: balancer.backward(broken),
    ]
    found = []
    with alone_in(folder / "locked") if rank == 0 else alone_in(folder / "other"):
        for attempt in [*attempts, train]:
            try:
                attempt()
            except Exception as error:
                found.append(word(error))
            assert all(p.grad is None for p in network.parameters())
    torch.set_default_dtype(torch.float64)
    balancer.backward(losses_of(network))
    return found


def test_what_one_process_lacks_every_process_is_told(tmp_path: Path):
    first, second = together(wrong_in_one, 2, tmp_path / "meet", tmp_path)
    assert first[0].startswith("TypeMismatchError: losses must") or first[0].startswith(
        "LossError: losses must"
    )
    assert "ProcessError: process 0 must accept its part of the batch; found " in second[0]
    assert first[1].startswith(
        "ProcessError: process 1 must accept its part of the batch; found ZeroDivisionError"
    )
    assert second[1].startswith("ZeroDivisionError")
    assert first[2] == second[2]
    assert first[2].startswith(f"{LockedError.__name__}: ")


def lost(rank: int, size: int, number: int) -> str:
    """Process 1 is killed or stopped; what the others say, and after how many seconds."""
    network = PlainNetwork()
    balancer = BOGC(network.partition())
    balancer.backward(losses_of(network))
    if rank == 1:
        os.kill(os.getpid(), number)
    began = time.monotonic()
    try:
        for _ in range(3):
            balancer.backward(losses_of(network))
    except BogcError as error:
        return f"{time.monotonic() - began:.1f} {word(error)}"
    return "nothing happened"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_is_lost_is_named_within_the_wait(tmp_path: Path, number: int):
    processes = start(lost, 3, tmp_path, number, seconds=4)
    try:
        found = finish(processes, tmp_path, only=(0, 2))
    finally:
        processes[1].kill()
        processes[1].join()
    for said in found:
        seconds, _, text = said.partition(" ")
        assert float(seconds) < 4 + 10
        assert text.startswith(
            f"{ProcessError.__name__}: process group must reach every process; found no word"
        )
        assert "no word from process 1 (" in text
