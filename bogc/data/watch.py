"""Smartwatch recordings of shoulder exercises: accelerometer and gyroscope, split by subject.

Burns et al., "Shoulder physiotherapy exercise recognition", https://arxiv.org/abs/1802.01489. Ten subjects
did seven exercises with either arm: 140 series of six channels at 50 Hz. The file comes with the seglearn
distribution, whose archive is read without installing or importing it.
"""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bogc.data.archives import Archive, fetch
from bogc.data.dataset import MultimodalDataset
from bogc.errors import FetchError

ARCHIVE: Final = Archive(
    package="seglearn",
    version="1.2.5",
    filename="seglearn-1.2.5-py3-none-any.whl",
    sha256="ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd",
)
WINDOW: Final = 200  # steps, 4 s
STRIDE: Final = 100  # steps, 2 s
_SHA256: Final = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
_MEMBER: Final = "seglearn/data/watch_dataset.npy"

_Reals: TypeAlias = NDArray[np.float64]


def load_watch(cache_dir: Path | None = None) -> MultimodalDataset:
    """Load 2,229 windows of 4 s that overlap by half.

    Windows of one recording resemble each other, so ``groups`` holds the subject (1..10): split by it.

    Args:
        cache_dir: Where the archive (11 MB) is kept; None for the default cache.

    Returns:
        ``accelerometer`` and ``gyroscope``, each float32, [2229, 3, 200], axes x, y, z.

    Raises:
        FetchError: The archive cannot be fetched, or is not the pinned one.
    """
    recordings = read_recordings(fetch(ARCHIVE, cache_dir))
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


def read_recordings(path: Path) -> dict[str, Any]:
    """Read the file in the archive after checking its hash: it holds a pickle, which runs when unpickled.

    Args:
        path: The archive.

    Returns:
        ``X``, 140 float64 arrays [steps, 6], columns ax ay az wx wy wz; ``y``, exercise 0..6, and
        ``subject``, 1..10, each int64 [140]; ``y_labels``, names of the exercises.

    Raises:
        FetchError: The file is not the pinned one.
    """
    with zipfile.ZipFile(path) as archive:
        content = archive.read(_MEMBER)  # once, so that what is unpickled is what was hashed
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        rule = f"must have SHA-256 {_SHA256}"
        raise FetchError(f"{path}/{_MEMBER}", rule, found, f"Delete {path}, and bogc fetches it again.")
    recordings: dict[str, Any] = np.load(io.BytesIO(content), allow_pickle=True).item()
    return recordings


def sliding_windows(series: _Reals, window: int, stride: int) -> _Reals:
    """Cut ``series``, [steps, channels], into [windows, channels, window]; the remainder is dropped."""
    return np.lib.stride_tricks.sliding_window_view(series, window, axis=0)[::stride]
