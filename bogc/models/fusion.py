"""Heads that turn the features of the modalities at hand into fused logits."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, final

import torch
from torch import Tensor, nn

from bogc.errors import ConfigError


class FusionHead(nn.Module, ABC):
    """Features [N, F] by modality -> logits [N, C]; each head says what stands in for an absent modality."""

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__()
        self.modalities = modalities
        self.features = features
        self.classes = classes

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return logits; at least one modality must be present."""

    @abstractmethod
    def slices(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the head makes of each modality alone, logits [N, C]: OGM-GE's scores come from these.

        Heads that add up modalities have a slice of their own for each, and the slices sum to the logits.
        FiLM and gated heads multiply modalities; there a slice is the logits with zeros for the features of
        all others, which is our definition.
        """

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Return the output weights [C, F] that each modality meets, with their graph."""


@final
class ConcatFusion(FusionHead):
    """One linear layer on the concatenated features; zeros stand in for an absent modality."""

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__(modalities, features, classes)
        self.linear = nn.Linear(len(modalities) * features, classes)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """See the base class."""
        filled = _with_zeros(features, self.modalities)
        logits: Tensor = self.linear(torch.cat(list(filled.values()), dim=1))
        return logits

    def slices(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class; the bias is shared out evenly."""
        weights, bias = self.weights(), self.linear.bias / len(features)
        return {m: nn.functional.linear(value, weights[m], bias) for m, value in features.items()}

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        parts = self.linear.weight.split(self.features, dim=1)
        return dict(zip(self.modalities, parts, strict=True))


@final
class SumFusion(FusionHead):
    """The sum of one linear layer a modality: late fusion of logits. An absent modality adds nothing."""

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__(modalities, features, classes)
        self.linears = by_modality({m: nn.Linear(features, classes) for m in modalities})

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """See the base class."""
        return torch.stack(list(self.slices(features).values())).sum(0)

    def slices(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class; each layer keeps its own bias."""
        return {modality: self.linears[modality](value) for modality, value in features.items()}

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        return {m: self.linears[m].get_parameter("weight") for m in self.modalities}


@final
class FiLMFusion(FusionHead):
    """The first modality scales and shifts the sum of the others (Perez et al., arXiv 1709.07871).

    Zeros stand in for an absent modality.
    """

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__(modalities, features, classes)
        self.film = nn.Linear(features, 2 * features)
        self.output = nn.Linear(features, classes)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """See the base class."""
        first, *others = _with_zeros(features, self.modalities).values()
        scale, shift = self.film(first).chunk(2, dim=1)
        modulated = scale * torch.stack(others).sum(0) + shift if others else shift
        logits: Tensor = self.output(modulated)
        return logits

    def slices(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        return {modality: self({modality: value}) for modality, value in features.items()}

    def weights(self) -> dict[str, Tensor]:
        """See the base class; all modalities meet the same."""
        return dict.fromkeys(self.modalities, self.output.weight)


@final
class GatedFusion(FusionHead):
    """The first modality gates the sum of the others (Kiela et al., arXiv 1802.02892).

    Zeros stand in for the features of an absent modality.
    """

    def __init__(self, modalities: tuple[str, ...], features: int, classes: int) -> None:
        super().__init__(modalities, features, classes)
        self.projections = by_modality({m: nn.Linear(features, features) for m in modalities})
        self.output = nn.Linear(features, classes)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """See the base class."""
        filled = _with_zeros(features, self.modalities)
        first, *others = (self.projections[m](value) for m, value in filled.items())
        gated = first.sigmoid() * torch.stack(others).sum(0) if others else first
        logits: Tensor = self.output(gated)
        return logits

    def slices(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        return {modality: self({modality: value}) for modality, value in features.items()}

    def weights(self) -> dict[str, Tensor]:
        """See the base class; all modalities meet the same."""
        return dict.fromkeys(self.modalities, self.output.weight)


def _with_zeros(features: Mapping[str, Tensor], modalities: tuple[str, ...]) -> dict[str, Tensor]:
    """Features of all modalities in order, zeros for those absent."""
    absent = torch.zeros_like(next(iter(features.values())))
    return {modality: features.get(modality, absent) for modality in modalities}


FUSIONS: Final[dict[str, type[FusionHead]]] = {
    "concat": ConcatFusion,
    "sum": SumFusion,
    "film": FiLMFusion,
    "gated": GatedFusion,
}


def by_modality(modules: Mapping[str, nn.Module]) -> nn.ModuleDict:
    """Register modules under the names of their modalities.

    Raises:
        ConfigError: torch cannot register a name: it is empty, has a dot, or is an attribute of every module.
    """
    try:
        return nn.ModuleDict(dict(modules))
    except KeyError as error:
        rule = "must have names that torch.nn.ModuleDict accepts"
        raise ConfigError("modalities", rule, error.args[0], "Rename the modality.") from None
