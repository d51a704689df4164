import gc
import platform
import resource
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bogc.errors import UnsuitableError
from bogc.training import cost
from bogc.training.config import TrainConfig
from bogc.training.cost import ROUNDS, WARMUP, Cost, example, peak_bytes, step_costs, tensors_in
from tests.processes import CONTEXT

GLIBC = platform.libc_ver()[0] == "glibc"
REFUSAL = UnsuitableError("network", "must fit", "this one", "Use another.")
BLOCKS = 8 * 16_000_000  # bytes


def hold(ask: bool, found: Connection) -> None:
    """Tell how many bytes this process holds more, once it has freed blocks of 16 MB for the first time."""
    if ask:
        assert cost.keep_freed_memory()
    torch.ones(10)
    before = resident()
    blocks = [torch.ones(4_000_000, dtype=torch.float32) for _ in range(8)]
    del blocks
    found.send(resident() - before)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def kept(ask: bool) -> int:
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=hold, args=(ask, sender), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 0
    return receiver.recv()


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_what_is_freed_stays_with_the_process():
    assert kept(False) < 0.2 * BLOCKS
    assert kept(True) > 0.8 * BLOCKS


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cost.ctypes, "CDLL", lambda name: object())
    assert cost.keep_freed_memory() is False
    monkeypatch.setattr(cost.sys, "platform", "win32")
    assert cost.keep_freed_memory() is False


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1000)), max_size=20))
def test_against_a_ledger(orders: list[tuple[bool, int]]):
    """Allocate or free the oldest, in any order; a ledger of sizes is the oracle."""
    kept: list[torch.Tensor] = []
    ledger: list[int] = []
    largest = 0

    def work() -> None:
        nonlocal largest
        for allocate, size in orders:
            if allocate:
                kept.append(torch.zeros(size))
                ledger.append(8 * size)
            elif kept:
                kept.pop(0)
                ledger.pop(0)
            largest = max(largest, sum(ledger))

    assert peak_bytes(work) == largest


def test_views_and_changes_in_place_take_nothing(device: torch.device):
    def work() -> None:
        x = torch.zeros(100, device=device)
        y = x.view(10, 10)[2:].t()
        y.add_(1).mul_(2)

    assert peak_bytes(work) == 800


def test_what_is_held_counts_once_and_may_be_freed(device: torch.device):
    held = [torch.zeros(100, device=device)]
    held.append(held[0].view(10, 10))
    assert peak_bytes(lambda: torch.zeros(60, device=device), iter(held)) == 800 + 480

    def work() -> None:
        held.clear()
        torch.zeros(60, device=device)

    peak = peak_bytes(work, iter(list(held)))  # not in an assert, which would keep the list
    assert peak == 800


def test_a_backward_pass_is_seen(device: torch.device):
    """A linear map [50, 20] -> [50, 30]: at the end of backward its weight and bias gradients are alive."""
    layer, x = nn.Linear(20, 30, device=device), torch.randn(50, 20, device=device)
    parameters = 8 * (600 + 30)
    gc.collect()
    peak = peak_bytes(lambda: layer(x).square().sum().backward(), layer.parameters())
    assert peak >= 2 * parameters + 8 * 50 * 30
    assert peak <= 2 * parameters + 8 * (5 * 50 * 30 + 10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_is_what_the_allocator_of_the_gpu_hands_out():
    device = torch.device("cuda")
    x = torch.randn(512, 512, device=device)

    def work() -> None:
        (x + 1).exp().add(x.sin())

    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    assert peak_bytes(work) == torch.cuda.max_memory_allocated() - before


def test_tensors_of_nested_containers():
    a, b = torch.zeros(1), torch.ones(2)
    assert list(tensors_in({"x": [a, 3, "text"], "y": {"z": (b, None)}})) == [a, b]


SERIES = {m: torch.zeros(2, 16, dtype=torch.float32) for m in ("a", "b")}


@pytest.fixture
def float32():
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A clock that says that a step of method number i takes i + 1 seconds."""
    order: list[str] = []
    monkeypatch.setattr(
        cost,
        "_stepper",
        lambda data, config: lambda: order.append(config.method) or float(len(config.method)),
    )
    return order


@pytest.mark.usefixtures("float32")
def test_ratios_are_to_the_plain_sum_in_the_same_round_and_methods_take_turns(ticking: list[str]):
    found = step_costs(example(SERIES), ["joint", "mimo"], TrainConfig())
    assert found == {"joint": Cost(5 / 3, 5 / 3, 5 / 3, 5000.0), "mimo": Cost(4 / 3, 4 / 3, 4 / 3, 4000.0)}
    assert ticking == ["sum", "joint", "mimo"] * (WARMUP + ROUNDS)


@pytest.mark.usefixtures("float32")
def test_listens_once_a_round(ticking: list[str]):
    calls: list[int] = []
    step_costs(example(SERIES), ["joint"], TrainConfig(), rounds=2, listen=lambda: calls.append(1))
    assert len(calls) == WARMUP + 2


@pytest.mark.usefixtures("float32")
def test_real_steps_take_time_and_a_method_that_refuses_says_why():
    found = step_costs(example(SERIES), ["bogc", "ogm-ge-released"], TrainConfig(features=4), rounds=1)
    assert isinstance(found["bogc"], Cost)
    assert found["bogc"].milliseconds > 0
    assert found["bogc"].low <= found["bogc"].ratio <= found["bogc"].high
    assert isinstance(found["ogm-ge-released"], UnsuitableError)
    assert "4-D" in str(found["ogm-ge-released"])


@pytest.mark.usefixtures("float32")
def test_example_is_one_batch_of_every_class():
    data = example(SERIES, classes=3, size=8)
    assert len(data) == 8
    assert data.n_classes == 3
    assert {m: tuple(x.shape) for m, x in data.inputs.items()} == {"a": (8, 2, 16), "b": (8, 2, 16)}


def test_the_time_of_a_comparison_is_its_steps_times_the_time_of_one(monkeypatch: pytest.MonkeyPatch):
    taken = iter([9.0, 9.0, 9.0, 0.5, 0.7, 9.0, 9.0, 9.0, 2.0, 2.5])  # settling is not counted
    monkeypatch.setattr(cost, "_stepper", lambda data, config: REFUSAL if config.method == "mimo" else take)

    def take() -> float:
        assert torch.get_num_threads() == 1
        return next(taken)

    threads = torch.get_num_threads()
    data, base = example({"a": torch.zeros(3, 20)}, size=100), TrainConfig(epochs=2, batch_size=16)
    found = cost.training_seconds(data, {"sum": 3, "mimo": 5, "bogc": 1}, base)
    assert found == pytest.approx(2 * 4 * (3 * 0.5 + 2.0))  # 60 of 100 samples are for training
    assert torch.get_num_threads() == threads
