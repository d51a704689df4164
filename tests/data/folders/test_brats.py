from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.data.folders.brats import MODALITIES, read_brats
from bogc.errors import DataError, RangeError
from tests.data.folders.volumes import write_brats


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_brats(tmp_path / "brats", {"train": 3, "valid": 2, "test": 2})


def test_evaluation_takes_the_middle_of_one_marked_slice_always_the_same(folder: Path):
    slices = read_brats(folder, "train", side=16)
    assert len(slices) == 3
    with np.load(folder / "train" / "patient1.npz") as made:
        image, label = made["image"][:, 2:18, 1:17], made["label"][2:18, 1:17]
    inputs, classes = slices[1]
    depths = [d for d in range(6) if np.array_equal(inputs["flair"][0], image[0, :, :, d])]
    assert len(depths) == 1
    assert depths[0] in (2, 3, 4)
    for index, modality in enumerate(MODALITIES):
        np.testing.assert_array_equal(inputs[modality][0], image[index, :, :, depths[0]])
    expected = np.where(label == 4, 3, label)[:, :, depths[0]]
    np.testing.assert_array_equal(classes, expected)
    assert (inputs["t2"].dtype, classes.dtype) == (torch.float32, torch.int64)
    again, _ = slices[1]
    assert torch.equal(again["t1"], inputs["t1"])


def test_training_turns_and_mirrors_picture_and_classes_together(folder: Path):
    slices = read_brats(folder, "train", side=16)
    seen = set()
    for seed in range(40):
        inputs, classes = slices.training_item(0, np.random.default_rng(seed))
        assert inputs["flair"].shape == (1, 16, 16)
        assert sorted(classes.unique().tolist()) == [0, 1, 2, 3]
        # flair was made brighter where there is a tumour
        inside = inputs["flair"][0][classes == 3].mean() - inputs["flair"][0][classes == 0].mean()
        assert inside > 2
        seen.add(tuple(classes.flatten().tolist()))
    assert len(seen) > 3


def test_a_tenth_of_the_training_slices_is_noisy(folder: Path):
    slices = read_brats(folder, "train", side=16)
    with np.load(folder / "train" / "patient0.npz") as made:
        values = set(made["image"].astype(np.float32).ravel().tolist())
    noisy = 0
    for seed in range(300):
        inputs, _ = slices.training_item(0, np.random.default_rng(seed))
        noisy += float(inputs["t1"][0, 0, 0]) not in values
    assert 8 <= noisy <= 60  # binomial(300, 0.1): outside with probability below 2e-5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"image": np.zeros((3, 20, 18, 6))}, r"must hold image \[4, width, height, depth\]"),
        ({"image": np.zeros((4, 20, 18, 5))}, r"must hold image \[4, width, height, depth\]"),
        ({"label": np.zeros((20, 18, 6))}, "must have a tumour in its first 128 slices"),
        ({"label": np.full((20, 18, 6), 5)}, "labels 0 to 4"),
        ({"image": np.full((4, 20, 18, 6), np.nan)}, "must hold finite values"),
        ({"label": np.array([print], dtype=object)}, r"must be a file \.npz of arrays"),
    ],
)
def test_another_layout_is_refused(folder: Path, change: dict[str, np.ndarray], match: str):
    path = folder / "test" / "patient0.npz"
    with np.load(path) as made:
        arrays = dict(made)
    np.savez(path, **{**arrays, **change})
    with pytest.raises(DataError, match=match):
        read_brats(folder, "test", side=16)[0]


def test_small_volumes_empty_parts_and_unknown_ones_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"must be at least 19 wide and high; found \[20, 18, 6\]"):
        read_brats(folder, "test", side=19)[0]
    with pytest.raises(DataError, match="part must be one of train, valid, test; found 'tst'"):
        read_brats(folder, "tst")
    with pytest.raises(DataError, match="train must exist"):
        read_brats(tmp_path, "train")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"must hold files \.h5 or \.npz; found none"):
        read_brats(tmp_path, "train")
    with pytest.raises(RangeError, match="side must be at least 1; found 0"):
        read_brats(folder, "train", side=0)
