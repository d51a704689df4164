import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.training.seeding import batch_order, own_part, reproducible, rng_state, set_rng_state


@given(st.integers(2, 200), st.integers(2, 64), st.integers(0, 1000), st.integers(0, 50))
def test_batches_are_disjoint_complete_and_repeatable(samples: int, size: int, seed: int, epoch: int):
    batches = batch_order(samples, size, seed, epoch)
    joined = torch.cat(batches)
    assert len(joined.unique()) == len(joined)
    assert len(joined) == (samples // size * size or samples)
    again = batch_order(samples, size, seed, epoch)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ():
    orders = [tuple(torch.cat(batch_order(100, 10, s, e)).tolist()) for s in range(3) for e in range(3)]
    assert len(set(orders)) == 9


def test_surroundings_are_restored():
    before = torch.get_rng_state()
    with reproducible(3):
        first = torch.randn(4)
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    with reproducible(3):
        assert torch.equal(torch.randn(4), first)


def test_generator_state_round_trip():
    state = rng_state()
    first = torch.randn(4)
    set_rng_state(state)
    assert torch.equal(torch.randn(4), first)


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_parts_of_a_batch_are_neighbours_and_together_the_batch(processes: int):
    (batch, *_) = batch_order(20, 7, 0, 0)
    parts = [own_part(batch, rank, processes) for rank in range(processes)]
    assert torch.equal(torch.cat(parts), batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
