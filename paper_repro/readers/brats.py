"""BraTS 2021: slices of brains in four kinds of MRI, tumours class by pixel (in the layout of CGGM's code).

The folder, named by the environment variable ``BOGC_BRATS``, is what the released code of CGGM (zrguo/CGGM at
21e428c, ``datasets/BratsDataset.py``) reads::

    train/*.h5   valid/*.h5   test/*.h5      one file a patient, with
        image    [4, width, height, depth]: flair, t1ce, t1, t2
        label    [width, height, depth]: 0 none, 1 necrotic core, 2 oedema, 3 or 4 enhancing tumour

In place of a file .h5 there may be one .npz with the same names. How the authors made these files from the
organisers' volumes, and which patients are in which part, is not released; :func:`make_brats` makes such a
folder in our own way. The organisers' patient is a folder NAME with ``NAME_flair.nii.gz``, and so on for
t1ce, t1, t2 and seg (or .nii), 240 x 240 x 155 voxels. Each kind of MRI gets mean 0 and deviation 1 over its
voxels that are not 0; these stay 0. The middle 160 x 160 x 128 voxels are kept, in half precision, 27 MB a
patient.
"""

import gzip
import io
import math
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.files import SUFFIXES, check_unpacked, existing, float32, read_stored

FOLDER: Final = "BOGC_BRATS"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "valid", "test")
MODALITIES: Final = ("flair", "t1ce", "t1", "t2")
CLASSES: Final = ("none", "necrotic core", "oedema", "enhancing tumour")
DEPTH: Final = 128  # slices of a patient that are drawn from, the first ones
NOISY: Final = 0.1  # share of training slices that get noise
NOISE: Final = 0.1  # its largest standard deviation

_REMEDY: Final = "See the documentation of paper_repro.readers.brats."

Slice = tuple[dict[str, Float32[Tensor, "1 side side"]], Int64[Tensor, "side side"]]


@dataclass(frozen=True)
class BratsSlices:
    """One slice a patient, drawn among those with a tumour when asked for.

    Attributes:
        paths: Files of the patients.
        side: Width and height of what is cut out of the middle.
    """

    paths: tuple[Path, ...]
    side: int = 160

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Slice:
        """Read a slice for evaluation: drawn at random, but by ``index`` alone.

        Returns:
            Each modality, [1, side, side], and the class of each pixel, [side, side].

        Raises:
            DataError: A file is not as described, is smaller than ``side``, or has no tumour.
            IndexError: There is no such patient.
        """
        image, label = self._slice(index, np.random.default_rng(index))
        return _tensors(image, label)

    def training_item(self, index: int, random: np.random.Generator) -> Slice:
        """Read a slice for training: any, turned by 0, 1 or 2 quarters, mirrored, a tenth of them noisy."""
        image, label = self._slice(index, random)
        turns, axis = int(random.integers(0, 3)), int(random.integers(1, 3))
        image = np.flip(np.rot90(image, turns, axes=(1, 2)), axis=axis)
        label = np.flip(np.rot90(label, turns), axis=axis - 1)
        if random.random() < NOISY:
            image = image + random.normal(0, random.uniform(0, NOISE), image.shape)
        return _tensors(image, label)

    def _slice(self, index: int, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        path = self.paths[index]
        image, label = read_stored(path, ("image", "label")).values()
        if image.ndim != 4 or len(image) != len(MODALITIES) or image.shape[1:] != label.shape:
            rule = "must hold image [4, width, height, depth] and label [width, height, depth]"
            raise DataError(str(path), rule, f"{list(image.shape)} and {list(label.shape)}", _REMEDY)
        if min(label.shape[:2]) < self.side:
            rule = f"must be at least {self.side} wide and high"
            raise DataError(str(path), rule, list(label.shape), _REMEDY)
        if not np.isin(label, (0, 1, 2, 3, 4)).all() or not np.isfinite(image).all():
            raise DataError(str(path), "must hold finite values and labels 0 to 4", "others", _REMEDY)
        marked = np.flatnonzero(label[:, :, :DEPTH].any(axis=(0, 1)))
        if len(marked) == 0:
            rule = f"must have a tumour in its first {DEPTH} slices"
            raise DataError(str(path), rule, "none", _REMEDY)
        depth = int(random.choice(marked))
        width, height = (
            slice(start, start + self.side)
            for start in (round((size - self.side) / 2) for size in label.shape[:2])
        )
        return image[:, width, height, depth], label[width, height, depth]


def read_brats(folder: Path, part: str, side: int = 160) -> BratsSlices:
    """List the patients of a part, in the order of their names; they are read when asked for.

    Args:
        folder: As described above.
        part: "train", "valid" or "test".
        side: Width and height of a slice.

    Raises:
        DataError: There is no such part, or no patient in it.
        RangeError: ``side`` is not positive.
    """
    check_number("side", side, side >= 1, "must be at least 1", "Use 160.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    place = existing(folder / part, _REMEDY)
    paths = tuple(sorted(path for path in place.iterdir() if path.suffix in SUFFIXES))
    if not paths:
        raise DataError(str(place), f"must hold files {' or '.join(SUFFIXES)}", "none", _REMEDY)
    return BratsSlices(paths, side)


def _tensors(image: NDArray[Any], label: NDArray[Any]) -> Slice:
    values = torch.from_numpy(float32(image))
    classes = torch.from_numpy(np.ascontiguousarray(label, dtype=np.int64))
    inputs = {m: values[i : i + 1] for i, m in enumerate(MODALITIES)}
    return inputs, classes.clamp(max=3)  # the organisers' 4 is the enhancing tumour


KEPT: Final = (160, 160, DEPTH)  # voxels along each axis, at most
SHARES: Final = (0.8, 0.1, 0.1)  # of the patients, by part


def make_brats(patients: Path, folder: Path, seed: int = 0) -> None:
    """Make the folder; complete, or not at all.

    For instance ``python -c "from pathlib import Path; from paper_repro.readers.brats import
    make_brats; make_brats(Path('BraTS2021_Training_Data'), Path('brats'))"``.

    Args:
        patients: Folder of the patients' folders; other files in it are passed over.
        folder: New folder, in the layout above.
        seed: Of the parting into 80 % train, 10 % valid and 10 % test, at least one patient each.

    Raises:
        DataError: ``folder`` is there already, a volume is missing or broken, or volumes differ in shape.
        RangeError: There are fewer than three patients.
    """
    if folder.exists():
        raise DataError(str(folder), "must not exist yet", "it does", "Choose another, or delete it.")
    found = sorted(p for p in existing(patients, "Name the folder of the patients.").iterdir() if p.is_dir())
    check_number("patients", len(found), len(found) >= 3, "must be at least 3", "Name the right folder.")
    order = np.random.RandomState(seed).permutation(len(found))
    fewest = max(1, round(SHARES[1] * len(found)))
    parts = np.split(order, [len(found) - 2 * fewest, len(found) - fewest])
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for part, members in zip(PARTS, parts, strict=True):
            (unfinished / part).mkdir()
            for index in members:
                image, label = patient(found[index])
                np.savez(unfinished / part / f"{found[index].name}.npz", image=image, label=label)
        unfinished.chmod(0o755)
        os.rename(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def patient(folder: Path) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Read one patient: image [4, width, height, depth], standardised, and label [width, height, depth]."""
    volumes = [_volume_of(folder, kind) for kind in (*MODALITIES, "seg")]
    shapes = {volume.shape for volume in volumes}
    if len(shapes) > 1:
        raise DataError(str(folder), "must hold volumes of one shape", sorted(shapes), "Fetch it again.")
    *kinds, segmentation = volumes
    middle = _middle(segmentation.shape)
    label = segmentation[middle]
    if not np.isin(label, (0, 1, 2, 4)).all():
        raise DataError(str(folder), "must have labels 0, 1, 2 and 4", "others", "Fetch it again.")
    image = np.stack([standardised(volume)[middle] for volume in kinds])
    return image.astype(np.float16), label.astype(np.uint8)


def standardised(volume: NDArray[Any]) -> NDArray[np.float64]:
    """Give the voxels that are not 0 mean 0 and deviation 1; a volume of one value becomes 0."""
    inside = volume != 0
    values = volume[inside].astype(np.float64)
    result = np.zeros(volume.shape)
    if len(values) and (deviation := values.std()) > 0:
        result[inside] = (values - values.mean()) / deviation
    return result


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    starts = [max(0, (size - most) // 2) for size, most in zip(shape, KEPT, strict=True)]
    return tuple(slice(start, start + most) for start, most in zip(starts, KEPT, strict=True))


def _volume_of(folder: Path, kind: str) -> NDArray[Any]:
    compressed, plain = (folder / f"{folder.name}_{kind}{suffix}" for suffix in (".nii.gz", ".nii"))
    return read_nifti(compressed if compressed.exists() or not plain.exists() else plain)


NIFTI_HEADER: Final = 348  # bytes
LARGEST_VOLUME: Final = 1 << 28  # voxels; a header that claims more is taken for damage
NIFTI_DTYPES: Final[Mapping[int, str]] = MappingProxyType(
    {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
)
"""Code in the header -> type of a voxel."""

_DAMAGE: Final = (OSError, ValueError, EOFError, OverflowError, zlib.error, struct.error)
_NIFTI_REMEDY: Final = "Fetch it again, or save it as NIfTI-1 in one file."


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
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(str(path), "must be a file in NIfTI-1 format", error, _NIFTI_REMEDY) from error


def _volume(path: Path, file: io.BufferedIOBase) -> NDArray[Any]:
    header = file.read(NIFTI_HEADER)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", header)[0] == NIFTI_HEADER), None)
    if order is None or header[344:348] != b"n+1\0":
        raise DataError(str(path), "must be a file in NIfTI-1 format", "another header", _NIFTI_REMEDY)
    axes, *sizes = struct.unpack_from(f"{order}8h", header, 40)
    code = struct.unpack_from(f"{order}h", header, 70)[0]
    offset, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
    shape, beyond = sizes[:3], sizes[3 : max(axes, 3)]
    if (
        not 3 <= axes <= 7
        or min(shape) < 1
        or any(size > 1 for size in beyond)
        or np.prod(shape) > LARGEST_VOLUME
    ):
        raise DataError(str(path), "must hold a volume of three axes", f"{axes} axes, {sizes}", _NIFTI_REMEDY)
    if code not in NIFTI_DTYPES or not NIFTI_HEADER <= offset <= 1 << 20:
        found = f"type {code} at byte {offset}"
        raise DataError(
            str(path), f"must hold voxels of a type among {sorted(NIFTI_DTYPES)}", found, _NIFTI_REMEDY
        )
    dtype = np.dtype(order + NIFTI_DTYPES[code])
    check_unpacked(path, math.prod(shape) * dtype.itemsize, _NIFTI_REMEDY)
    file.read(int(offset) - NIFTI_HEADER)
    content = file.read(int(np.prod(shape)) * dtype.itemsize)
    file.read(1)  # at the end of a gzip file this compares its checksum
    if len(content) != int(np.prod(shape)) * dtype.itemsize:
        raise DataError(str(path), f"must hold {shape} voxels", f"{len(content)} bytes", _NIFTI_REMEDY)
    voxels: NDArray[Any] = np.frombuffer(content, dtype).reshape(shape, order="F")
    if slope == 0 or not np.isfinite(slope) or (slope, intercept) == (1, 0):
        return voxels.astype(dtype.newbyteorder("="))
    return voxels * np.float64(slope) + np.float64(intercept)
