"""A tiny pickle of aligned features, in the layout of CGGM and MultiBench."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS = {"text": 6, "audio": 4, "vision": 5}
SIZES = {"train": 5, "valid": 2, "test": 3}


def opinions(sizes: dict[str, int] = SIZES, time: int = 7) -> dict[str, dict[str, Any]]:
    """Draw features, and labels from -3 to 3 in equal steps."""
    random = np.random.RandomState(0)
    parts: dict[str, dict[str, Any]] = {}
    for part, size in sizes.items():
        parts[part] = {m: random.standard_normal((size, time, width)) for m, width in WIDTHS.items()}
        parts[part]["labels"] = np.linspace(-3, 3, size).reshape(size, 1, 1)
        parts[part]["id"] = np.array([[f"v{i}", "0", "1"] for i in range(size)])
    return parts


def write_pickle(path: Path, values: object) -> Path:
    """Pickle ``values`` at ``path``, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(values))
    return path
