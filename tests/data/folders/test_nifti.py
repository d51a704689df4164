import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bogc.data.folders.nifti import DTYPES, read_nifti
from bogc.errors import DataError
from tests.data.folders.volumes import nifti

KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@KEEP
@given(
    st.sampled_from(sorted(DTYPES.values())).flatmap(
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
def test_other_content_is_refused(tmp_path: Path, content: bytes, match: str):
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_nifti(tmp_path / "a.nii")


@KEEP
@given(st.data())
def test_a_file_cut_short_is_refused(tmp_path: Path, data: st.DataObject):
    content = gzip.compress(nifti(np.arange(24, dtype=np.int16).reshape(2, 3, 4)))
    (tmp_path / "a.nii.gz").write_bytes(content[: data.draw(st.integers(0, len(content) - 9))])
    with pytest.raises(DataError, match=r"a\.nii\.gz must"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"must be a file in NIfTI-1 format; found .*No such file"):
        read_nifti(tmp_path / "a.nii.gz")
