from pathlib import Path

import numpy as np
import pytest

from bogc.data.folders import brats_builder
from bogc.data.folders.brats import read_brats
from bogc.data.folders.brats_builder import make_brats, patient, standardised
from bogc.data.folders.nifti import read_nifti
from bogc.errors import DataError, RangeError
from tests.data.folders.volumes import nifti, write_patients


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
    monkeypatch.setattr(brats_builder, "KEPT", (10, 30, 4))
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
