"""BraTS 2021: slices of brains in four kinds of MRI, tumours class by pixel (in the layout of CGGM's code).

The folder, named by the environment variable ``BOGC_BRATS``, is what the released code of CGGM (zrguo/CGGM at
21e428c, ``datasets/BratsDataset.py``) reads::

    train/*.h5   valid/*.h5   test/*.h5      one file a patient, with
        image    [4, width, height, depth]: flair, t1ce, t1, t2
        label    [width, height, depth]: 0 none, 1 necrotic core, 2 oedema, 3 or 4 enhancing tumour

In place of a file .h5 there may be one .npz with the same names. How the authors made these files from the
organisers' volumes, and which patients are in which part, is not released; ``brats_builder`` makes such a
folder in our own way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from bogc.checks import check_number
from bogc.data.folders.location import existing
from bogc.data.folders.stores import SUFFIXES, read_stored
from bogc.errors import DataError

FOLDER: Final = "BOGC_BRATS"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "valid", "test")
MODALITIES: Final = ("flair", "t1ce", "t1", "t2")
CLASSES: Final = ("none", "necrotic core", "oedema", "enhancing tumour")
DEPTH: Final = 128  # slices of a patient that are drawn from, the first ones
NOISY: Final = 0.1  # share of training slices that get noise
NOISE: Final = 0.1  # its largest standard deviation

_REMEDY: Final = "See the documentation of bogc.data.folders.brats."

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
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    classes = torch.from_numpy(np.ascontiguousarray(label, dtype=np.int64))
    inputs = {m: values[i : i + 1] for i, m in enumerate(MODALITIES)}
    return inputs, classes.clamp(max=3)  # the organisers' 4 is the enhancing tumour
