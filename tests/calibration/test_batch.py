import pytest
import torch

from bogc.calibration.batch import Batch
from bogc.calibration.layout import layout


@pytest.mark.parametrize(
    ("dtype", "computed"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_a_batch_lists_the_sources_of_each_piece_and_is_computed_in_float32_at_least(dtype, computed):
    where = layout((5000, 3), 4096)
    gradients = [[torch.full((size,), float(s), dtype=dtype) for size in where.sizes] for s in range(2)]
    scatters = [[torch.full((size,), 10.0 + s, dtype=dtype) for size in where.sizes] for s in range(2)]
    batch = Batch.of(where, gradients, scatters)
    assert batch.dtype == computed
    assert [[float(part[0, 0]) for part in piece] for piece in batch.gradients] == [[0, 1]] * 3
    assert [[float(part[0, 0]) for part in piece] for piece in batch.scatters] == [[10, 11]] * 3
    assert [tuple(piece[0].shape) for piece in batch.gradients] == [(1, 4096), (1, 904), (1, 128)]
