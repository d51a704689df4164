from dataclasses import dataclass

import pytest
import torch

from bogc import checks
from bogc.errors import (
    DeviceError,
    DtypeError,
    MassSumError,
    NonFiniteError,
    RangeError,
    ShapeError,
    TypeMismatchError,
)

NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class Positive(checks.Unchecked):
    value: float

    def __post_init__(self) -> None:
        checks.check_number("value", self.value, self.value > 0, "must be positive", "Use 1.")


def test_unchecked_leaves_out_the_check_and_nothing_else():
    with pytest.raises(RangeError, match=r"value must be positive; found -1.0. Use 1\."):
        Positive(-1.0)
    assert Positive.unchecked(value=-1.0) == Positive.unchecked(value=-1.0)
    assert isinstance(Positive.unchecked(value=-1.0), Positive)
    assert Positive.unchecked(value=2.0) == Positive(2.0)


def test_check_type_accepts_subclasses_and_names_both_types():
    checks.check_type("flag", True, int, "Pass an int.")
    with pytest.raises(TypeMismatchError, match=r"flag must be of type int; found str. Pass an int\."):
        checks.check_type("flag", "1", int, "Pass an int.")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_check_floating_accepts_every_real_floating_dtype(dtype):
    checks.check_floating("x", torch.ones(1, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_check_floating_refuses_other_dtypes(dtype):
    with pytest.raises(DtypeError, match=f"x must be floating point; found {dtype}. Convert it with"):
        checks.check_floating("x", torch.ones(1, dtype=dtype))


def test_check_alike_refuses_two_dtypes_and_two_devices():
    ones = torch.ones(1)
    checks.check_alike("x", ones, ones)
    with pytest.raises(
        DtypeError, match=r"x must have one dtype; found \['torch.float32', 'torch.float64'\]. Con"
    ):
        checks.check_alike("x", ones, ones.float())
    with pytest.raises(
        DeviceError, match=r"x must be on one device; found \['cpu', 'meta'\]. Move them with"
    ):
        checks.check_alike("x", ones, ones.to("meta"))


def test_check_broadcastable_follows_torch():
    checks.check_broadcastable("x", torch.ones(2, 1), torch.ones(3), torch.ones(()))
    with pytest.raises(
        ShapeError, match=r"x must have shapes that broadcast; found \[2\], \[3\]. Align their"
    ):
        checks.check_broadcastable("x", torch.ones(2), torch.ones(3))


@pytest.mark.parametrize(
    ("shape", "index"), [((2,), (1,)), ((2, 3), (1, 2)), ((1,), (0,)), ((2, 3, 4), (0, 2, 1))]
)
def test_first_index_is_of_the_first_true_in_row_major_order(shape, index):
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[index] = True
    mask[tuple(size - 1 for size in shape)] = True
    assert checks.first_index(mask) == index


def test_check_values_reports_the_first_invalid_value_with_its_index():
    value = torch.tensor([[1.0, 2.0], [-3.0, -4.0]])
    match = r"x must not be negative; found -3 at index \[1, 0\]. Use 0\."
    with pytest.raises(MassSumError, match=match):
        checks.check_values("x", "must not be negative", value, value >= 0, "Use 0.", MassSumError)
    with pytest.raises(RangeError, match=r"x must not be negative; found -1. Use 0\."):
        checks.check_values("x", "must not be negative", torch.tensor(-1.0), torch.tensor(False), "Use 0.")


@pytest.mark.parametrize("size", [0, 3])
def test_valid_values_pass(size):
    checks.check_values("x", "must be 1", torch.ones(size), torch.ones(size, dtype=torch.bool), "Use 1.")


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_check_finite_refuses_what_is_not(value):
    checks.check_finite("x", torch.ones(2))
    with pytest.raises(
        NonFiniteError, match=rf"x must be finite; found {value} at index \[1\]. Look for overflow"
    ):
        checks.check_finite("x", torch.tensor([0.0, value]))


def test_check_number_reports_the_number():
    checks.check_number("n", 3, True, "must be odd", "Use 3.")
    with pytest.raises(RangeError, match=r"n must be odd; found 4. Use 3\."):
        checks.check_number("n", 4, False, "must be odd", "Use 3.")
