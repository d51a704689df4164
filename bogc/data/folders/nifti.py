"""Volumes in the NIfTI-1 format, in one file .nii or .nii.gz: enough of it for BraTS, without a package."""

import gzip
import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bogc.errors import DataError

HEADER: Final = 348  # bytes
LARGEST: Final = 1 << 28  # voxels; a header that claims more is taken for damage
DTYPES: Final[Mapping[int, str]] = MappingProxyType(
    {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
)
"""Code in the header -> type of a voxel."""

_DAMAGE: Final = (OSError, EOFError, zlib.error, struct.error)  # gzip's error is an OSError
_REMEDY: Final = "Fetch it again, or save it as NIfTI-1 in one file."


def read_nifti(path: Path) -> NDArray[Any]:
    """Read a volume of three axes; axes after them may have length 1.

    Orientation and size of voxels are passed over. No more is read than the header asks for.

    Returns:
        [x, y, z]: in the type of the file, or float64 if the header scales the values.

    Raises:
        DataError: The file is missing, damaged or another format, or holds something else than such a volume.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return _volume(path, file)
    except _DAMAGE as error:
        raise DataError(str(path), "must be a file in NIfTI-1 format", error, _REMEDY) from error


def _volume(path: Path, file: io.BufferedIOBase) -> NDArray[Any]:
    header = file.read(HEADER)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", header)[0] == HEADER), None)
    if order is None or header[344:348] != b"n+1\0":
        raise DataError(str(path), "must be a file in NIfTI-1 format", "another header", _REMEDY)
    axes, *sizes = struct.unpack_from(f"{order}8h", header, 40)
    code = struct.unpack_from(f"{order}h", header, 70)[0]
    offset, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
    shape, beyond = sizes[:3], sizes[3 : max(axes, 3)]
    if not 3 <= axes <= 7 or min(shape) < 1 or any(size > 1 for size in beyond) or np.prod(shape) > LARGEST:
        raise DataError(str(path), "must hold a volume of three axes", f"{axes} axes, {sizes}", _REMEDY)
    if code not in DTYPES or not HEADER <= offset <= 1 << 20:
        found = f"type {code} at byte {offset}"
        raise DataError(str(path), f"must hold voxels of a type among {sorted(DTYPES)}", found, _REMEDY)
    dtype = np.dtype(order + DTYPES[code])
    file.read(int(offset) - HEADER)
    content = file.read(int(np.prod(shape)) * dtype.itemsize)
    file.read(1)  # at the end of a gzip file this compares its checksum
    if len(content) != int(np.prod(shape)) * dtype.itemsize:
        raise DataError(str(path), f"must hold {shape} voxels", f"{len(content)} bytes", _REMEDY)
    voxels: NDArray[Any] = np.frombuffer(content, dtype).reshape(shape, order="F")
    if slope == 0 or not np.isfinite(slope) or (slope, intercept) == (1, 0):
        return voxels.astype(dtype.newbyteorder("="))
    return voxels * np.float64(slope) + np.float64(intercept)
