"""Heads that turn the features of the modalities at hand into fused logits."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn


class FusionHead(nn.Module, ABC):
    """Features [N, F] by modality -> logits [N, C]. A modality that is absent contributes nothing."""

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__()
        self.modalities = modalities
        self.features = features
        self.classes = classes

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return logits; at least one modality must be present."""


class ConcatFusion(FusionHead):
    """One linear layer on the concatenated features; zeros stand in for an absent modality."""

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__(modalities, features, classes)
        self.linear = nn.Linear(len(modalities) * features, classes)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """See the base class."""
        present = next(iter(features.values()))
        absent = present.new_zeros(len(present), self.features)
        logits: Tensor = self.linear(torch.cat([features.get(m, absent) for m in self.modalities], dim=1))
        return logits


class SumFusion(FusionHead):
    """The sum of one linear layer a modality: late fusion of logits."""

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__(modalities, features, classes)
        self.linears = nn.ModuleDict({m: nn.Linear(features, classes) for m in modalities})

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """See the base class."""
        logits = [self.linears[modality](value) for modality, value in features.items()]
        return torch.stack(logits).sum(0)


FUSIONS: Final[dict[str, type[FusionHead]]] = {"concat": ConcatFusion, "sum": SumFusion}
