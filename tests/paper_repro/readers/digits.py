"""A tiny AV-MNIST in the layout of I2M2's code."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def av_mnist(sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Draw pictures, spectrograms and labels: file without suffix -> array."""
    random = np.random.RandomState(0)
    found: dict[str, np.ndarray] = {}
    for part, size in sizes.items():
        found[f"image/{part}_data"] = random.randint(0, 256, (size, 784)).astype(np.float64)
        found[f"audio/{part}_data"] = random.randint(0, 256, (size, 112, 112)).astype(np.uint8)
        found[f"{part}_labels"] = random.randint(0, 10, size)
    return found


def write_av_mnist(folder: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write them as npy files."""
    for name, values in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", values)
    return folder
