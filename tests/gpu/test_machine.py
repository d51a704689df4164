"""The clock and the memory of a device; without conftest.py, as a dry run of the command has it."""

import pytest
import torch

from tests.gpu.machine import Machine, find


@pytest.fixture(params=["cpu", "cuda"])
def machine(request: pytest.FixtureRequest) -> Machine:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return find(request.param)


def test_a_longer_work_takes_longer(machine: Machine):
    values = torch.rand(200_000, device=machine.device)

    def work() -> None:
        values.exp()

    def long_work() -> None:
        for _ in range(50):
            work()

    work()
    assert machine.milliseconds(long_work, 2) > 2 * machine.milliseconds(work, 2) > 0


def test_the_peak_holds_what_was_freed(machine: Machine):
    before = machine.allocated()
    peak = machine.peak(lambda: torch.ones(2**20, device=machine.device).add(1))
    assert machine.allocated() == before
    assert peak is None if machine.dry else peak >= before + 2 * 4 * 2**20
