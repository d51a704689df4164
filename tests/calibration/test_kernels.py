import pytest
import torch

from bogc.calibration import Eager, Pipeline, closed_form
from bogc.calibration.batch import Batch, Constants
from bogc.calibration.layout import layout
from bogc.errors import RangeError

SIZES = (5000, 1, 130)


def drawn(sources: int) -> tuple[list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    generator = torch.Generator().manual_seed(sources)
    gradients = [[torch.randn(size, generator=generator) for size in SIZES] for _ in range(sources)]
    return gradients, [[g.square() for g in row] for row in gradients]


@pytest.mark.parametrize("chunk", [128, 4096])
@pytest.mark.parametrize("sources", [1, 2, 4])
def test_sums_are_those_of_the_blocks(sources, chunk):
    gradients, scatters = drawn(sources)
    kernel = Eager(chunk)
    batch = Batch.of(layout(SIZES, chunk), gradients, scatters)
    squares = [[g.square().sum() for g in row] for row in gradients]
    plain = [sum(row[b] for row in gradients).square().sum() for b in range(len(SIZES))]
    expected = torch.tensor([*squares, *squares, plain])
    torch.testing.assert_close(kernel.sums(batch), expected)


def test_directions_come_with_their_sums_of_squares():
    gradients, scatters = drawn(3)
    kernel, where = Eager(), layout(SIZES, 2**16)
    out, ones = torch.empty(where.length), torch.ones(3, len(SIZES))
    form = closed_form(Pipeline())
    given = Constants(1e-6 * ones, ones, ones)
    squares = kernel.directions(form, Batch.of(where, gradients, scatters), given, out)
    expected = torch.stack([block.square().sum() for block in where.blocks(out)])
    torch.testing.assert_close(squares, expected)


@pytest.mark.parametrize("chunk", [0, 100, -128])
def test_a_chunk_is_a_multiple_of_the_width(chunk):
    with pytest.raises(RangeError, match="chunk must be a positive multiple of 128"):
        Eager(chunk)


def test_eager_pieces_are_of_cache_size_on_a_cpu_alone():
    assert Eager(2**10).chunk_on(torch.device("cpu")) == 2**10
    assert Eager(2**10).chunk_on(torch.device("cuda")) == 2**22
    assert Eager(2**23).chunk_on(torch.device("cuda")) == 2**23
