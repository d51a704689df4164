"""Parts of a batch against moments of all samples at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bogc.gradients import (
    Alone,
    Block,
    GradientMoments,
    Grouped,
    Part,
    PerRow,
    PerSample,
    Place,
    Streaming,
    reduce_parts,
)
from bogc.gradients.vjp import group_sizes

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) >= 3)


def problem(samples: int, seed: int) -> tuple[Block, Tensor]:
    """One layer, and one loss a sample."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(3, 2)
    inputs = torch.randn(samples, 3, generator=generator, dtype=torch.float64)
    losses = layer(inputs).square().sum(1)
    return Block("layer", "a", tuple(layer.parameters())), losses


def micro_batches(estimator, block: Block, losses: Tensor, sizes: list[int]) -> Part:
    """Measure consecutive micro-batches, empty ones left out, and merge."""
    parts, start = [], 0
    for size in sizes:
        if size:
            place = Place(start, start, size)
            own = {"a": losses[start : start + size]}
            parts.append(estimator.measure(own, [block], {"a": place})["a"])
        start += size
    merged, *others = parts
    for part in others:
        merged = merged.merge(part)
    return merged


@given(sizes=SIZES, seed=st.integers(0, 99))
@pytest.mark.parametrize("estimator", [Streaming(), Grouped(2), Grouped(3), PerSample(2)], ids=repr)
def test_micro_batches_merge_to_the_batch(estimator, sizes: list[int], seed: int):
    block, losses = problem(sum(sizes), seed)
    found = micro_batches(estimator, block, losses, sizes)
    expected = estimator.measure({"a": losses}, [block], {"a": Place.of(sum(sizes))})["a"]
    assert (found.sizes, found.counts) == (expected.sizes, expected.counts)
    for name in ("rows", "scatter"):
        assert getattr(found, name).keys() == getattr(expected, name).keys()
        for block_name, value in getattr(expected, name).items():
            torch.testing.assert_close(getattr(found, name)[block_name], value, rtol=1e-10, atol=1e-12)


@given(first=st.integers(0, 50), count=st.integers(0, 50), groups=st.integers(1, 9))
def test_group_sizes_count_every_sample_once(first: int, count: int, groups: int):
    members = [number % groups for number in range(first, first + count)]
    assert group_sizes(first, count, groups) == tuple(members.count(group) for group in range(groups))


def test_a_block_that_one_part_does_not_reach_has_gradient_zero_there():
    one = Part({"a": torch.tensor([[2.0, 4.0]])}, (2,), (2,), {"a": torch.tensor([1.0, 0.0])})
    other = Part({}, (2,), (2,), {})
    merged, swapped = one.merge(other), other.merge(one)
    samples = torch.tensor([[2 - 0.5**0.5, 4.0], [2 + 0.5**0.5, 4.0], [0.0, 0.0], [0.0, 0.0]])
    expected = GradientMoments.from_samples(samples)
    for found in (merged, swapped):
        torch.testing.assert_close(found.rows["a"][0], expected.mean)
        torch.testing.assert_close(found.scatter["a"], expected.scatter)


def test_one_process_has_nothing_to_reduce():
    block, losses = problem(4, 0)
    part = PerSample().measure({"fusion": losses}, [block], {"fusion": Place.of(4)})["fusion"]
    assert reduce_parts({"fusion": part}, [block], Alone()) == {"fusion": part}


@given(samples=st.integers(4, 9), seed=st.integers(0, 99))
@pytest.mark.parametrize("estimator", [Streaming(0.8, 2), Grouped(3), PerSample(2), PerRow()], ids=repr)
def test_measuring_and_concluding_is_estimating(estimator, samples: int, seed: int):
    """Over four batches, so that Streaming reports moments."""
    states: list = [{}, {}]
    for step in range(4):
        block, losses = problem(samples, seed + step)
        part = estimator.measure({"a": losses}, [block], {"a": Place.of(samples)})["a"]
        found = estimator.conclude(part, states[0])
        expected = estimator.estimate({"a": losses}, [block], {"a": states[1]})["a"]
        states = [found.state, expected.state]
        torch.testing.assert_close(found.means, expected.means)
        assert found.moments.keys() == expected.moments.keys()
        for name, moments in expected.moments.items():
            torch.testing.assert_close(vars(found.moments[name]), vars(moments))
