import pytest
import torch

from bogc.errors import (
    DataError,
    DtypeError,
    NonFiniteError,
    RangeError,
    ShapeError,
    TypeMismatchError,
)
from bogc.models.generative.inputs import check_complete, check_inputs, widths_of

WIDTHS = {"x": 2, "z": 3}
GOOD = {"x": torch.full((4, 2), 0.5), "z": torch.ones(4, 3)}  # made before the tests turn to float64


def test_accepts_any_modalities_at_hand_and_the_ends_of_the_range():
    check_complete(GOOD, WIDTHS)
    check_inputs({"z": torch.zeros(1, 3)}, WIDTHS)


@pytest.mark.parametrize(
    ("change", "error", "found"),
    [
        ({"y": torch.ones(4, 2)}, DataError, r"some of \['x', 'z'\]; found unknown \['y'\]"),
        ({"x": torch.ones(4, 3)}, ShapeError, r"inputs\['x'\] must be \[N, 2\]; found \[4, 3\]"),
        ({"x": torch.ones(4)}, ShapeError, r"must be \[N, 2\]; found \[4\]"),
        ({"x": torch.ones(0, 2)}, DataError, "at least one row"),
        ({"x": torch.ones(3, 2)}, ShapeError, r"one number of rows; found \{'x': 3, 'z': 4\}"),
        ({"x": torch.ones(4, 2, dtype=torch.int64)}, DtypeError, "must be floating point"),
        ({"x": torch.ones(4, 2, dtype=torch.float64)}, DtypeError, "must have one dtype"),
        (
            {"x": torch.full((4, 2), torch.nan)},
            NonFiniteError,
            r"must be finite; found nan at index \[0, 0\]",
        ),
        ({"x": torch.full((4, 2), 1.01)}, RangeError, r"must lie in \[0, 1\]; found 1.01"),
        ({"x": torch.full((4, 2), -0.01)}, RangeError, r"must lie in \[0, 1\]; found -0.01"),
    ],
)
def test_refuses(change: dict, error: type[Exception], found: str):
    with pytest.raises(error, match=found):
        check_inputs(GOOD | change, WIDTHS)


def test_refuses_nothing_at_all_and_what_is_no_tensor():
    with pytest.raises(DataError, match=r"some of \['x', 'z'\]; found none"):
        check_inputs({}, WIDTHS)


def test_complete_needs_every_modality():
    with pytest.raises(DataError, match=r"all of \['x', 'z'\]; found no \['z'\]"):
        check_complete({"x": GOOD["x"]}, WIDTHS)


def test_refuses_another_type():
    check = getattr(check_inputs, "__wrapped__", check_inputs)  # past the run-time checker of the tests
    with pytest.raises(TypeMismatchError, match="inputs must be of type Mapping; found Tensor"):
        check(torch.ones(4, 2), WIDTHS)


def test_widths_are_lengths_of_the_last_axis():
    assert widths_of({**GOOD, "number": torch.tensor(1.0)}) == {"x": 2, "z": 3, "number": 0}
