"""Makes a folder for ``brats`` from the organisers' volumes, in our own way: CGGM's is not released.

A patient is a folder NAME with ``NAME_flair.nii.gz``, and so on for t1ce, t1, t2 and seg (or .nii), 240 x 240
x 155 voxels. Each kind of MRI gets mean 0 and deviation 1 over its voxels that are not 0; these stay 0. The
middle 160 x 160 x 128 voxels are kept, in half precision, 27 MB a patient.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bogc.checks import check_number
from bogc.data.folders.brats import DEPTH, MODALITIES, PARTS
from bogc.data.folders.location import existing
from bogc.data.folders.nifti import read_nifti
from bogc.errors import DataError

KEPT: Final = (160, 160, DEPTH)  # voxels along each axis, at most
SHARES: Final = (0.8, 0.1, 0.1)  # of the patients, by part


def make_brats(patients: Path, folder: Path, seed: int = 0) -> None:
    """Make the folder; complete, or not at all.

    For instance ``python -c "from pathlib import Path; from bogc.data.folders.brats_builder import
    make_brats; make_brats(Path('BraTS2021_Training_Data'), Path('brats'))"``.

    Args:
        patients: Folder of the patients' folders; other files in it are passed over.
        folder: New folder, in the layout of ``brats``.
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
    volumes = [_read(folder, kind) for kind in (*MODALITIES, "seg")]
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


def _read(folder: Path, kind: str) -> NDArray[Any]:
    compressed, plain = (folder / f"{folder.name}_{kind}{suffix}" for suffix in (".nii.gz", ".nii"))
    return read_nifti(compressed if compressed.exists() or not plain.exists() else plain)
