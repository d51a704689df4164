import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bogc.errors import DataError, RangeError
from paper_repro.readers import brats
from paper_repro.readers.brats import (
    MODALITIES,
    NIFTI_DTYPES,
    make_brats,
    patient,
    read_brats,
    read_nifti,
    standardised,
)
from tests.paper_repro.readers.volumes import nifti, write_brats, write_patients


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


def test_every_patient_goes_to_one_part_and_can_be_read(tmp_path: Path):
    make_brats(write_patients(tmp_path / "raw"), tmp_path / "brats")
    names = {
        part: [p.stem for p in read_brats(tmp_path / "brats", part).paths]
        for part in ("train", "valid", "test")
    }
    assert {part: len(each) for part, each in names.items()} == {"train": 3, "valid": 1, "test": 1}
    assert sorted(name for each in names.values() for name in each) == [
        f"BraTS2021_{i:05d}" for i in range(5)
    ]
    inputs, classes = read_brats(tmp_path / "brats", "train", side=16)[0]
    assert inputs["t1ce"].shape == (1, 16, 16)
    assert sorted(classes.unique().tolist()) == [0, 1, 2, 3]


def test_the_head_is_standardised_and_the_rest_stays_0():
    volume = np.array([[[0, 2], [4, 6]]], dtype=np.int16)
    found = standardised(volume)
    assert found[0, 0, 0] == 0
    inside = found[volume != 0]
    np.testing.assert_allclose([inside.mean(), inside.std()], [0, 1], atol=1e-12)
    assert (standardised(np.zeros((2, 2, 2))) == 0).all()
    assert (standardised(np.full((2, 2, 2), 3)) == 0).all()


def test_the_middle_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_patients(tmp_path / "raw", count=1) / "BraTS2021_00000"
    monkeypatch.setattr(brats, "KEPT", (10, 30, 4))
    image, label = patient(folder)
    assert image.shape == (4, 10, 18, 4)
    whole = read_nifti(folder / "BraTS2021_00000_seg.nii.gz")
    np.testing.assert_array_equal(label, whole[5:15, :, 1:5])
    flair = standardised(read_nifti(folder / "BraTS2021_00000_flair.nii.gz"))
    np.testing.assert_allclose(image[0], flair[5:15, :, 1:5], atol=2e-3)


def test_nothing_is_left_of_a_build_that_fails(tmp_path: Path):
    raw = write_patients(tmp_path / "raw", count=3)
    path = raw / "BraTS2021_00001" / "BraTS2021_00001_t2.nii.gz"
    path.with_suffix("").write_bytes(nifti(np.zeros((2, 2, 2), dtype=np.int16)))
    path.unlink()
    with pytest.raises(DataError, match="must hold volumes of one shape"):
        make_brats(raw, tmp_path / "out" / "brats")
    path.with_suffix("").unlink()
    with pytest.raises(DataError, match=r"_t2\.nii\.gz must be a file in NIfTI-1 format"):
        make_brats(raw, tmp_path / "out" / "brats")
    assert list((tmp_path / "out").iterdir()) == []


def test_other_labels_few_patients_and_a_folder_that_exists_are_refused(tmp_path: Path):
    raw = write_patients(tmp_path / "raw", count=2)
    with pytest.raises(RangeError, match="patients must be at least 3; found 2"):
        make_brats(raw, tmp_path / "brats")
    with pytest.raises(DataError, match="must not exist yet"):
        make_brats(raw, raw)
    path = raw / "BraTS2021_00000" / "BraTS2021_00000_seg.nii"
    path.with_suffix(".nii.gz").unlink()
    path.write_bytes(nifti(np.full((20, 18, 6), 3, dtype=np.uint8)))
    with pytest.raises(DataError, match="must have labels 0, 1, 2 and 4"):
        patient(path.parent)


KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@KEEP
@given(
    st.sampled_from(sorted(NIFTI_DTYPES.values())).flatmap(
        lambda dtype: arrays(np.dtype(dtype), array_shapes(min_dims=3, max_dims=3, max_side=4))
    ),
    st.sampled_from("<>"),
    st.booleans(),
)
def test_volumes_are_read_in_every_type_order_and_compression(
    tmp_path: Path, values: np.ndarray, order: str, compressed: bool
):
    content = nifti(values, order)
    path = tmp_path / ("a.nii.gz" if compressed else "a.nii")
    path.write_bytes(gzip.compress(content) if compressed else content)
    found = read_nifti(path)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_a_header_may_scale_the_values_and_add_axes_of_one(tmp_path: Path):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    (tmp_path / "a.nii").write_bytes(nifti(values, slope=0.5, intercept=-1.0))
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii"), values * 0.5 - 1)
    (tmp_path / "a.nii").write_bytes(nifti(values[..., None]))
    assert read_nifti(tmp_path / "a.nii").shape == (2, 3, 4)
    (tmp_path / "a.nii").write_bytes(nifti(values, slope=0.0, intercept=3.0))  # 0: not scaled
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii"), values)


def changed(form: str, place: int, *values: object) -> bytes:
    content = bytearray(nifti(np.zeros((2, 3, 4), dtype=np.int16)))
    struct.pack_into(form, content, place, *values)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "must be a file in NIfTI-1 format"),
        (changed("<i", 0, 540), "must be a file in NIfTI-1 format; found another header"),
        (changed("4s", 344, b"ni1\0"), "must be a file in NIfTI-1 format; found another header"),
        (changed("<h", 40, 2), "must hold a volume of three axes"),
        (changed("<5h", 40, 4, 2, 3, 4, 5), "must hold a volume of three axes"),
        (changed("<4h", 40, 3, 2, -3, 4), "must hold a volume of three axes"),
        (changed("<4h", 40, 3, 32767, 32767, 4), "must hold a volume of three axes"),
        (changed("<4h", 40, 3, 2, 3, 5), r"must hold \[2, 3, 5\] voxels; found 48 bytes"),
        (changed("<h", 70, 32), "must hold voxels of a type among"),
        (changed("<f", 108, float("nan")), "must hold voxels of a type among"),
        (changed("<f", 108, 1e9), "must hold voxels of a type among"),
    ],
)
def test_other_content_than_a_volume_is_refused(tmp_path: Path, content: bytes, match: str):
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_nifti(tmp_path / "a.nii")


@KEEP
@given(st.data())
def test_a_volume_cut_short_is_refused(tmp_path: Path, data: st.DataObject):
    content = gzip.compress(nifti(np.arange(24, dtype=np.int16).reshape(2, 3, 4)))
    (tmp_path / "a.nii.gz").write_bytes(content[: data.draw(st.integers(0, len(content) - 9))])
    with pytest.raises(DataError, match=r"a\.nii\.gz must"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_missing_volume_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"must be a file in NIfTI-1 format; found .*No such file"):
        read_nifti(tmp_path / "a.nii.gz")
