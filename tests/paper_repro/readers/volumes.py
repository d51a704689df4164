"""Tiny volumes: NIfTI-1 files, and patients in the layouts of the organisers and of CGGM's code."""

import gzip
import struct
from pathlib import Path

import numpy as np

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768}


def nifti(values: np.ndarray, order: str = "<", slope: float = 1.0, intercept: float = 0.0) -> bytes:
    """Build the bytes of a file, by the published table of the header."""
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    sizes = [*values.shape, *[1] * (7 - values.ndim)]
    struct.pack_into(f"{order}8h", header, 40, values.ndim, *sizes)
    struct.pack_into(f"{order}hh", header, 70, CODES[values.dtype.str[1:]], 8 * values.dtype.itemsize)
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, intercept)
    header[344:348] = b"n+1\0"
    return bytes(header) + values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")


def write_patients(folder: Path, count: int = 5, shape: tuple[int, int, int] = (20, 18, 6)) -> Path:
    """Write patients as the organisers do; a cube of each label, and 0 around the head."""
    random = np.random.RandomState(0)
    for number in range(count):
        name = f"BraTS2021_{number:05d}"
        (folder / name).mkdir(parents=True)
        head = np.zeros(shape, dtype=bool)
        head[2:-2, 2:-2] = True
        label = np.zeros(shape, dtype=np.uint8)
        for index, value in enumerate((1, 2, 4)):
            label[4 + 3 * index : 7 + 3 * index, 6:10, 2:5] = value
        for kind in ("flair", "t1ce", "t1", "t2"):
            values = np.where(head, random.randint(1, 500, shape), 0).astype(np.int16)
            (folder / name / f"{name}_{kind}.nii.gz").write_bytes(gzip.compress(nifti(values)))
        (folder / name / f"{name}_seg.nii.gz").write_bytes(gzip.compress(nifti(label)))
    return folder


def write_brats(folder: Path, sizes: dict[str, int], shape: tuple[int, int, int] = (20, 18, 6)) -> Path:
    """Write patients as CGGM's code reads them, as npz archives; three of their slices have a tumour."""
    random = np.random.RandomState(0)
    for part, size in sizes.items():
        (folder / part).mkdir(parents=True)
        for number in range(size):
            label = np.zeros(shape, dtype=np.uint8)
            for index, value in enumerate((1, 2, 4)):
                label[4 + 3 * index : 7 + 3 * index, 6:10, 2:5] = value
            image = random.standard_normal((4, *shape)).astype(np.float32)
            image[0] += label
            np.savez(folder / part / f"patient{number}.npz", image=image, label=label)
    return folder
