"""A tiny IEMOCAP in the layout of MMIN and CGGM, as npz archives, which need no package to be written."""

from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"trn": 8, "val": 4, "tst": 4}
WIDTHS = {"L/bert_large": 6, "A/comparE": 5, "V/denseface": 4}
LENGTHS = {"L/bert_large": (3, 5), "A/comparE": (7, 12), "V/denseface": (4, 4)}


def iemocap() -> dict[str, dict[str, Any]]:
    """Draw the arrays: file without suffix -> name -> array."""
    random = np.random.RandomState(0)
    names = [f"Ses01F_impro01_F{i:03d}" for i in range(sum(SIZES.values()))]
    files: dict[str, dict[str, Any]] = {
        file: {name: random.standard_normal((random.randint(low, high + 1), WIDTHS[file])) for name in names}
        for file, (low, high) in LENGTHS.items()
    }
    files["A/comparE_mean_std"] = {"1/mean": random.standard_normal(5), "1/std": 1 + random.rand(5)}
    start = 0
    for part, size in SIZES.items():
        labels = np.eye(4)[np.arange(size) % 4]
        own = np.array([[name.encode(), b"other"] for name in names[start : start + size]])
        files[f"target/1/{part}"] = {"label": labels, "int2name": own}
        start += size
    return files


def write_iemocap(folder: Path, files: dict[str, dict[str, Any]]) -> Path:
    """Write them; targets as single npy files."""
    for file, arrays in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        if file.startswith("target"):
            for kind, values in arrays.items():
                np.save(folder / f"{file}_{kind}.npy", values)
        else:
            np.savez(folder / f"{file}.npz", **arrays)
    return folder
