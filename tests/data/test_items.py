import pytest
import torch
from torch.utils.data import Dataset

from bogc.data.items import stack_items
from bogc.errors import DataError, DeviceError, DtypeError, ShapeError, TooFewSamplesError

ZEROS = torch.zeros(2, dtype=torch.float32)
GOOD = ({"audio": ZEROS}, 0)


class Pairs(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"audio": torch.full((2,), float(index)), "video": torch.zeros(1, 3)}, torch.tensor(index % 2)


def test_stacks_a_torch_data_set():
    inputs, targets = stack_items(Pairs())
    assert inputs["audio"][:, 0].tolist() == [0, 1, 2, 3]
    assert inputs["video"].shape == (4, 1, 3)
    assert (targets.tolist(), targets.dtype) == ([0, 1, 0, 1], torch.int64)


def test_stacks_a_list():
    inputs, targets = stack_items([GOOD, ({"audio": ZEROS + 1}, 1)])
    assert (inputs["audio"].tolist(), targets.tolist()) == ([[0, 0], [1, 1]], [0, 1])


@pytest.mark.parametrize(
    ("item", "error", "match"),
    [
        (({"video": ZEROS}, 0), DataError, r" must have the modalities of item 0, \['audio'\]"),
        (({}, 0), DataError, r" must have the modalities of item 0, .* found \[\]"),
        (({"audio": ZEROS[:1]}, 0), ShapeError, r"\['audio'\] must have the shape of item 0, \[2\]"),
        (({"audio": ZEROS.long()}, 0), DtypeError, r"\['audio'\] must be floating"),
        (({"audio": ZEROS.double()}, 0), DtypeError, r"\['audio'\] and item 0 must have one dtype"),
        (({"audio": ZEROS.to("meta")}, 0), DeviceError, r"\['audio'\] and item 0 must be on one device"),
        (({"audio": ZEROS}, 0.5), DataError, " must be a dict of tensors and an integer"),
        (({"audio": ZEROS}, torch.tensor(0.5)), DataError, " must be a dict of tensors and an integer"),
        ((ZEROS, 0), DataError, " must be a dict of tensors and an integer"),
        ({"audio": ZEROS}, DataError, r" must be a pair \(inputs, target\); found dict"),
    ],
)
def test_names_the_item_that_is_unlike_the_first(item, error, match):
    with pytest.raises(error, match=r"dataset\[1\]" + match):
        stack_items([GOOD, item, GOOD])


def test_no_items_and_no_modalities():
    with pytest.raises(TooFewSamplesError, match="dataset must have at least two items; found 0"):
        stack_items([])
    with pytest.raises(DataError, match=r"dataset\[0\] must hold at least one modality"):
        stack_items([({}, 0), ({}, 1)])
