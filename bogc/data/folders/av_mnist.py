"""AV-MNIST: MNIST digits that are seen and heard (in the layout of I2M2's code).

The folder, named by the environment variable ``BOGC_AV_MNIST``, is what the released code of I2M2
(divyam3897/I2M2) reads; a copy of it is handed round, and ``av_mnist_builder`` makes another one::

    image/train_data.npy    [60000, 784], 0 to 255         image/test_data.npy    [10000, 784]
    audio/train_data.npy    [60000, 112, 112], 0 to 255    audio/test_data.npy    [10000, 112, 112]
    train_labels.npy        [60000], 0 to 9                test_labels.npy        [10000]
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.data.folders.location import folder_named_by
from bogc.errors import DataError

FOLDER: Final = "BOGC_AV_MNIST"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "test")
IMAGE_SIDE: Final = 28
AUDIO_SIDE: Final = 112

_REMEDY: Final = "See the documentation of bogc.data.folders.av_mnist."


def load_av_mnist() -> MultimodalDataset:
    """Load both parts, training first, for ``--dataset bogc.data.folders.av_mnist:load_av_mnist``.

    I2M2 trains on the first 55,000, validates on the next 5,000 and tests on the last 10,000. The 70,000
    samples take 3.7 GB; bogc's standardisation needs several times as much for a while.

    Returns:
        ``image``, float32 [n, 1, 28, 28], and ``audio``, float32 [n, 1, 112, 112], both divided by 255.

    Raises:
        ConfigError: ``BOGC_AV_MNIST`` does not name a folder.
        DataError: The folder is not as described.
    """
    return read_av_mnist(folder_named_by(FOLDER))


def read_av_mnist(folder: Path) -> MultimodalDataset:
    """Read a folder, of any number of samples; see :func:`load_av_mnist`."""
    labels = [_array(folder / f"{part}_labels.npy") for part in PARTS]
    for part, values in zip(PARTS, labels, strict=True):
        if values.ndim != 1 or not np.isin(values, range(10)).all():
            rule = "must be a vector of 0 to 9"
            raise DataError(f"{part}_labels.npy", rule, list(values.shape), _REMEDY)
    sizes = [len(values) for values in labels]
    return MultimodalDataset(
        name="av-mnist",
        inputs={
            "image": _pictures(folder / "image", sizes, IMAGE_SIDE),
            "audio": _pictures(folder / "audio", sizes, AUDIO_SIDE),
        },
        targets=torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        class_names=tuple("0123456789"),
    )


def training_samples(folder: Path) -> int:
    """Count the samples of the training part, which come first.

    Raises:
        DataError: There is no such list of labels.
    """
    return len(_array(folder / "train_labels.npy"))


def _pictures(folder: Path, sizes: list[int], side: int) -> Tensor:
    """Read both parts as float32 [n, 1, side, side], divided by 255."""
    parts = []
    for part, size in zip(PARTS, sizes, strict=True):
        path = folder / f"{part}_data.npy"
        values = _array(path)
        if len(values) != size or values.size != size * side * side:
            rule = f"must have shape [{size}, {side}, {side}]"
            raise DataError(str(path), rule, list(values.shape), _REMEDY)
        parts.append(torch.from_numpy(values.astype(np.float32)).view(size, 1, side, side))
    return torch.cat(parts).div_(255)


def _array(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(str(path), "must be an array of numbers in npy format", error, _REMEDY) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf" or values.ndim == 0:
        raise DataError(str(path), "must be an array of numbers in npy format", "something else", _REMEDY)
    return values
