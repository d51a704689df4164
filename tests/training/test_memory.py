import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bogc.training.memory import peak_bytes, tensors_in


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
