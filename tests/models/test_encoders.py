import pytest
import torch

from bogc.errors import ShapeError
from bogc.models import encoder_for


@pytest.mark.parametrize("shape", [(5,), (3, 40), (3, 16, 16)], ids=["vector", "series", "image"])
def test_encodes_samples_of_each_rank(shape: tuple[int, ...]):
    encoder = encoder_for(torch.zeros(shape), features=12)
    assert encoder(torch.randn(4, *shape)).shape == (4, 12)


def test_rejects_other_ranks():
    with pytest.raises(ShapeError, match=r"sample must have 1, 2 or 3 axes; found \[1, 2, 3, 4\]"):
        encoder_for(torch.zeros(1, 2, 3, 4), features=8)
