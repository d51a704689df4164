"""Spectrograms that were computed before and stored, one file each."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from bogc.data.folders.pickles import read_arrays
from bogc.errors import DataError

Spectrogram = Float32[Tensor, "1 rows columns"]


def read_npy(path: Path, random: np.random.Generator | None = None) -> Spectrogram:
    """Read an array of a ``.npy`` file as one channel, without running code that it may hold.

    Args:
        path: The file.
        random: Not used: what is stored is the whole.

    Raises:
        DataError: It is missing, damaged, or not one matrix of finite numbers.
    """
    try:
        values = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except Exception as error:  # a damaged file may raise anything, and numpy's advice then is to unpickle it
        found = error if isinstance(error, OSError) else "damage, or objects"
        raise DataError(str(path), "must be an array in a .npy file", found, "Compute it again.") from error
    return _channel(path, values)


def read_pickled(path: Path, random: np.random.Generator | None = None) -> Spectrogram:
    """Read a pickled array as one channel; as above."""
    return _channel(path, read_arrays(path))


def _channel(path: Path, values: Any) -> Spectrogram:
    right = isinstance(values, np.ndarray) and values.ndim == 2 and np.issubdtype(values.dtype, np.floating)
    if not right or values.size == 0:
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values)
        raise DataError(str(path), "must hold one matrix of floats", found, "Compute it again.")
    matrix = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    if not bool(matrix.isfinite().all()):
        raise DataError(str(path), "must hold finite numbers", "NaN or infinity", "Compute it again.")
    return matrix.unsqueeze(0)
