"""A data set of seconds: two modalities, three classes, one modality noisier than the other."""

import torch

from bogc.data import MultimodalDataset


def load() -> MultimodalDataset:
    generator = torch.Generator().manual_seed(7)
    targets = torch.arange(150) % 3
    centres = torch.randn(3, 8, generator=generator, dtype=torch.float32)
    vector = centres[targets] + 0.7 * torch.randn(150, 8, generator=generator, dtype=torch.float32)
    waves = torch.sin(torch.arange(16, dtype=torch.float32) * (targets[:, None] + 1) / 3)
    series = waves[:, None] + 1.5 * torch.randn(150, 2, 16, generator=generator, dtype=torch.float32)
    return MultimodalDataset.from_tensors({"vector": vector, "series": series}, targets, name="tiny")
