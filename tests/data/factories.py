"""Small data sets for the tests."""

import torch
from torch import Tensor

from bogc.data import MultimodalDataset


def make_dataset(samples: int = 12, classes: int = 3, groups: Tensor | None = None) -> MultimodalDataset:
    """Random ``audio`` [n, 2, 5] and ``video`` [n, 4]; classes in turn."""
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "audio": torch.randn(samples, 2, 5, generator=generator, dtype=torch.float32),
        "video": torch.randn(samples, 4, generator=generator, dtype=torch.float32),
    }
    names = tuple(f"class {index}" for index in range(classes))
    return MultimodalDataset("small", inputs, torch.arange(samples) % classes, names, groups)
