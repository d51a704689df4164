import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset

from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.data.dataset import check_index_range, check_indices, check_integers, check_same_device, stack_items
from bogc.errors import (
    DataError,
    DeviceError,
    DtypeError,
    NonFiniteError,
    RangeError,
    ShapeError,
    TooFewSamplesError,
)
from tests.processes import printed

from .factories import make_dataset

TARGETS = torch.tensor([0, 1, 0])


def batch() -> MultimodalBatch:
    return make_dataset().take(torch.tensor([3, 1]))


class TestBatch:
    def test_length_and_move(self):
        moved = batch().to("cpu")
        assert len(moved) == 2
        assert torch.equal(moved.targets, batch().targets)
        assert torch.equal(moved.inputs["audio"], batch().inputs["audio"])

    def test_without_leaves_the_others_untouched(self):
        assert list(batch().without("audio").inputs) == ["video"]
        assert torch.equal(batch().without("audio").inputs["video"], batch().inputs["video"])
        assert list(batch().without().inputs) == ["audio", "video"]

    def test_without_an_unknown_modality(self):
        with pytest.raises(DataError, match=r"must be among \['audio', 'video'\]; found 'smell'"):
            batch().without("smell")

    def test_without_every_modality(self):
        with pytest.raises(DataError, match="must leave at least one"):
            batch().without("video", "audio")

    def test_rows_must_fit_the_targets(self):
        with pytest.raises(
            ShapeError, match=r"inputs\['audio'\] must have 3 rows, one a target; found \[2, 4\]"
        ):
            MultimodalBatch({"audio": torch.zeros(2, 4)}, TARGETS)
        with pytest.raises(ShapeError, match=r"found \[\]"):
            MultimodalBatch({"audio": torch.tensor(0.0)}, TARGETS)

    def test_no_modality_and_no_sample(self):
        with pytest.raises(DataError, match="inputs must hold at least one modality"):
            MultimodalBatch({}, TARGETS)
        with pytest.raises(DataError, match="targets must hold at least one index"):
            MultimodalBatch({"audio": torch.zeros(0, 2)}, TARGETS[:0])

    @pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
    def test_a_device_that_is_not_there(self, device):
        with pytest.raises(DeviceError, match=f"device must be usable by torch; found {device}"):
            batch().to(device)
        with pytest.raises(DeviceError, match=f"device must be usable by torch; found {device}"):
            make_dataset().to(device)


class TestDataset:
    def test_properties(self):
        dataset = make_dataset(samples=12, classes=3)
        assert (len(dataset), dataset.n_classes, dataset.modalities) == (12, 3, ("audio", "video"))

    def test_move_and_pickle_keep_everything(self):
        dataset = make_dataset(groups=torch.arange(12))
        for copy in (dataset.to("cpu"), pickle.loads(pickle.dumps(dataset))):
            assert torch.equal(copy.inputs["video"], dataset.inputs["video"])
            assert torch.equal(copy.groups, dataset.groups)
            assert copy.class_names == dataset.class_names
        assert make_dataset().to("cpu").groups is None

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 11), min_size=2, max_size=20))
    def test_subset_and_take_agree(self, positions):
        dataset, indices = make_dataset(groups=torch.arange(12) // 2), torch.tensor(positions)
        subset, taken = dataset.subset(indices), dataset.take(indices)
        assert torch.equal(subset.targets, taken.targets)
        assert torch.equal(subset.groups, dataset.groups[indices])
        for modality in dataset.modalities:
            assert torch.equal(subset.inputs[modality], taken.inputs[modality])
            for row, position in enumerate(positions):
                assert torch.equal(taken.inputs[modality][row], dataset.inputs[modality][position])

    @settings(deadline=None)
    @given(st.permutations(range(12)))
    def test_subset_of_a_permutation_is_undone_by_its_inverse(self, order):
        permutation = torch.tensor(order)
        back = make_dataset().subset(permutation).subset(permutation.argsort())
        assert torch.equal(back.inputs["audio"], make_dataset().inputs["audio"])
        assert torch.equal(back.targets, make_dataset().targets)

    @pytest.mark.parametrize("method", ["take", "subset"])
    def test_bad_indices(self, method):
        call = getattr(make_dataset(), method)
        with pytest.raises(RangeError, match=r"indices must lie in \[0, 12\); found 12 at index \[1\]"):
            call(torch.tensor([0, 12]))
        with pytest.raises(RangeError, match="found -1"):
            call(torch.tensor([-1, 0]))
        with pytest.raises(DtypeError, match="indices must be int64; found torch"):
            call(torch.ones(12, dtype=torch.bool))
        with pytest.raises(DataError, match="indices must hold at least one index"):
            call(torch.tensor([], dtype=torch.int64))
        with pytest.raises(DeviceError, match="indices must be on cpu; found meta"):
            call(torch.zeros(2, dtype=torch.int64, device="meta"))

    def test_a_subset_of_one_is_no_data_set(self):
        with pytest.raises(TooFewSamplesError, match="targets must be at least two; found 1"):
            make_dataset().subset(torch.tensor([0]))


def build(inputs=None, targets=TARGETS, class_names=("a", "b"), groups=None) -> MultimodalDataset:
    inputs = {"audio": torch.zeros(3, 2)} if inputs is None else inputs
    return MultimodalDataset("bad", inputs, targets, class_names, groups)


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"inputs": {}}, DataError, "inputs must hold at least one modality"),
        (
            {"inputs": {"audio": torch.zeros(4, 2)}},
            ShapeError,
            r"must have 3 rows, one a target; found \[4, 2\]",
        ),
        (
            {"inputs": {"audio": torch.zeros(3, 2).long()}},
            DtypeError,
            r"inputs\['audio'\] must be floating point",
        ),
        ({"inputs": {"audio": torch.zeros(3)}}, ShapeError, r"must have a channel axis; found \[3\]"),
        ({"inputs": {"audio": torch.zeros(3, 0)}}, DataError, r"must not be empty; found \[3, 0\]"),
        (
            {"inputs": {"audio": torch.full((3, 2), torch.nan)}},
            NonFiniteError,
            r"finite; found nan at index \[0, 0\]",
        ),
        (
            {"inputs": {"audio": torch.zeros(3, 2).float(), "video": torch.zeros(3, 2).double()}},
            DtypeError,
            "inputs must have one dtype",
        ),
        ({"targets": torch.zeros(3)}, DtypeError, "targets must be int64"),
        ({"targets": torch.tensor([0])}, TooFewSamplesError, "targets must be at least two; found 1"),
        (
            {"targets": torch.tensor([0, 2, 0])},
            RangeError,
            r"targets must lie in \[0, 2\); found 2 at index \[1\]",
        ),
        ({"targets": torch.tensor([0, -1, 0])}, RangeError, "found -1"),
        ({"targets": TARGETS.to("meta")}, DeviceError, "targets must be on cpu; found meta"),
        ({"class_names": ("a",)}, DataError, "class_names must be two or more distinct names"),
        ({"class_names": ("a", "a")}, DataError, "class_names must be two or more distinct names"),
        ({"groups": torch.tensor([1, 2])}, ShapeError, r"groups must have 3 rows, one a target; found \[2\]"),
        ({"groups": torch.zeros(3)}, DtypeError, "groups must be int64"),
        ({"groups": TARGETS.to("meta")}, DeviceError, "groups must be on cpu; found meta"),
    ],
)
def test_construction_refuses(fields, error, match):
    with pytest.raises(error, match=match):
        build(**fields)


class TestFromTensors:
    def test_numbers_the_classes(self):
        dataset = MultimodalDataset.from_tensors({"audio": torch.zeros(3, 2)}, torch.tensor([0, 2, 0]))
        assert dataset.class_names == ("0", "1", "2")
        assert (dataset.name, dataset.groups) == ("tensors", None)

    def test_keeps_what_is_given(self):
        inputs = {"audio": torch.zeros(3, 2)}
        dataset = MultimodalDataset.from_tensors(inputs, TARGETS, "mine", ("a", "b", "c"), groups=TARGETS)
        assert (dataset.name, dataset.class_names) == ("mine", ("a", "b", "c"))
        assert torch.equal(dataset.groups, TARGETS)
        inputs.clear()
        assert dataset.modalities == ("audio",)

    def test_identifiers_are_no_classes(self):
        with pytest.raises(DataError, match="targets must be below 100000 when classes have no names"):
            MultimodalDataset.from_tensors({"audio": torch.zeros(2, 2)}, torch.tensor([0, 123_456_789]))

    def test_targets_must_be_integers(self):
        with pytest.raises(DtypeError, match="targets must be int64"):
            MultimodalDataset.from_tensors({"audio": torch.zeros(2, 2)}, torch.tensor([0.0, 1.0]))


def test_from_items_keeps_what_is_given():
    items = [({"audio": torch.zeros(2)}, 0), ({"audio": torch.ones(2)}, 1)]
    dataset = MultimodalDataset.from_items(items, "pairs", ("no", "yes"), groups=torch.tensor([4, 5]))
    assert torch.equal(dataset.inputs["audio"], torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert (dataset.name, dataset.class_names) == ("pairs", ("no", "yes"))
    assert (dataset.targets.tolist(), dataset.groups.tolist()) == ([0, 1], [4, 5])


OTHER_TYPES = """
import numpy as np, torch
from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.errors import TypeMismatchError

def refused(call):
    try:
        call()
    except TypeMismatchError as error:
        print(error)

ones, targets = np.ones((2, 2), dtype=np.float32), torch.tensor([0, 1])
refused(lambda: MultimodalBatch({"audio": ones}, targets))
refused(lambda: MultimodalBatch({0: torch.ones(2, 2)}, targets))
refused(lambda: MultimodalDataset.from_tensors({"audio": torch.ones(2, 2)}, [0, 1]))
refused(lambda: MultimodalDataset.from_items([({"audio": ones[0]}, 0), ({"audio": ones[1]}, 1)]))
"""


def test_other_types():
    # In a process of its own, because the annotations that this one enforces come before the checks.
    assert printed(OTHER_TYPES).splitlines() == [
        "inputs['audio'] must be of type Tensor; found ndarray. Pass a torch.Tensor.",
        "a modality's name must be of type str; found int. Name modalities by strings.",
        "targets must be of type Tensor; found list. Pass a torch.Tensor.",
        "dataset[0]['audio'] must be of type Tensor; found ndarray. Pass a torch.Tensor.",
    ]


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
