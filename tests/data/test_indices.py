import pytest
import torch

from bogc.data.indices import check_index_range, check_indices, check_integers, check_same_device
from bogc.errors import DataError, DeviceError, DtypeError, RangeError, ShapeError


def test_a_vector_of_indices_passes_every_check():
    indices = torch.tensor([0, 2])
    check_integers("indices", indices)
    check_indices("indices", indices)
    check_index_range("indices", indices, 3)
    check_same_device("indices", indices, torch.device("cpu"))


def test_an_empty_vector_is_integers_but_no_indices():
    check_integers("groups", torch.empty(0, dtype=torch.int64))
    with pytest.raises(DataError, match="indices must hold at least one index"):
        check_indices("indices", torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.bool])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(DtypeError, match=r"indices must be int64; found torch.*\.long\(\)"):
        check_integers("indices", torch.zeros(3, dtype=dtype))


@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_other_numbers_of_axes_are_refused(shape):
    with pytest.raises(ShapeError, match="indices must have one axis"):
        check_integers("indices", torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("index", [-1, 3])
def test_indices_out_of_range_are_named(index):
    with pytest.raises(RangeError, match=rf"indices must lie in \[0, 3\); found {index} at index \[1\]"):
        check_index_range("indices", torch.tensor([0, index]), 3)


def test_another_device_is_refused():
    with pytest.raises(DeviceError, match="indices must be on cpu; found meta"):
        check_same_device("indices", torch.zeros(2, dtype=torch.int64, device="meta"), torch.device("cpu"))
