"""Smartwatch recordings of shoulder exercises: accelerometer and gyroscope, split by subject.

Burns et al., "Shoulder physiotherapy exercise recognition", https://arxiv.org/abs/1802.01489. Ten subjects
did seven exercises with either arm: 140 series of six channels at 50 Hz, shipped with seglearn.
"""

import hashlib
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bogc.data.dataset import MultimodalDataset
from bogc.errors import FetchError

WINDOW: Final = 200  # steps, 4 s
STRIDE: Final = 100  # steps, 2 s
_SHA256: Final = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
_REMEDY: Final = "Run pip install --force-reinstall --no-deps seglearn==1.2.5."

_Reals: TypeAlias = NDArray[np.float64]


def load_watch(cache_dir: Path | None = None) -> MultimodalDataset:
    """Load 2,229 windows of 4 s that overlap by half.

    Windows of one recording resemble each other, so ``groups`` holds the subject (1..10): split by it.

    Args:
        cache_dir: Not used, because the file comes with an installed dependency; every loader takes it.

    Returns:
        ``accelerometer`` and ``gyroscope``, each float32, [2229, 3, 200], axes x, y, z.

    Raises:
        FetchError: seglearn is not installed, or its file is missing or not the pinned one.
    """
    recordings = read_recordings(locate_recordings())
    windows = [sliding_windows(series, WINDOW, STRIDE) for series in recordings["X"]]
    counts = [len(each) for each in windows]
    samples = torch.from_numpy(np.concatenate(windows)).float()
    return MultimodalDataset(
        name="watch",
        inputs={"accelerometer": samples[:, :3].contiguous(), "gyroscope": samples[:, 3:].contiguous()},
        targets=torch.from_numpy(np.repeat(recordings["y"], counts)),
        class_names=tuple(recordings["y_labels"]),
        groups=torch.from_numpy(np.repeat(recordings["subject"], counts)),
    )


def locate_recordings() -> Path:
    """Find the file of the installed seglearn; without importing it, which would run its code."""
    try:
        path = Path(str(distribution("seglearn").locate_file("seglearn/data/watch_dataset.npy")))
    except PackageNotFoundError as error:
        raise FetchError("seglearn", "must be installed", "no such distribution", _REMEDY) from error
    if not path.is_file():
        raise FetchError(str(path), "must exist", "no such file", _REMEDY)
    return path


def read_recordings(path: Path) -> dict[str, Any]:
    """Read the file after checking its hash: it holds a pickle, and unpickling runs what the file says.

    Returns:
        ``X``, 140 float64 arrays [steps, 6], columns ax ay az wx wy wz; ``y``, exercise 0..6, and
        ``subject``, 1..10, each int64 [140]; ``y_labels``, names of the exercises.

    Raises:
        FetchError: The file is not the pinned one.
    """
    content = path.read_bytes()  # once, so that what is unpickled is what was hashed
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        raise FetchError(str(path), f"must have SHA-256 {_SHA256}", found, _REMEDY)
    recordings: dict[str, Any] = np.load(io.BytesIO(content), allow_pickle=True).item()
    return recordings


def sliding_windows(series: _Reals, window: int, stride: int) -> _Reals:
    """Cut ``series``, [steps, channels], into [windows, channels, window]; the remainder is dropped."""
    return np.lib.stride_tricks.sliding_window_view(series, window, axis=0)[::stride]
