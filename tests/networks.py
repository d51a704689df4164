"""Small two-modal networks with one loss vector for each source, for tests of gradients and of balancing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients import ModalityPartition

Inputs = dict[str, Tensor]
Losses = dict[str, Tensor]


class PlainNetwork(nn.Module):
    """No layer mixes samples: ``torch.func`` can differentiate one sample at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
        self.sound = nn.Sequential(nn.Linear(6, 4), nn.Tanh())
        self.image_head, self.sound_head, self.fused = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(8, 3)

    def forward(self, inputs: Inputs) -> Inputs:
        """Logits of each source at hand; an absent modality counts as zeros."""
        image = self.image(inputs["image"]) if "image" in inputs else None
        sound = self.sound(inputs["sound"].mean(1)) if "sound" in inputs else None
        present = image if image is not None else sound
        parts = [torch.zeros_like(present) if part is None else part for part in (image, sound)]
        logits = {"fusion": self.fused(torch.cat(parts, dim=1))}
        if image is not None:
            logits["image"] = self.image_head(image)
        if sound is not None:
            logits["sound"] = self.sound_head(sound)
        return logits

    def partition(self) -> ModalityPartition:
        """The head of a modality is its own."""
        modalities = {"image": (self.image, self.image_head), "sound": (self.sound, self.sound_head)}
        return ModalityPartition(modalities, shared=self.fused, model=self)


class RichNetwork(nn.Module):
    """BatchNorm, attention, dropout, one layer used twice, and one that no loss reaches."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(dropout))
        self.sound = nn.MultiheadAttention(6, 2, dropout=dropout, batch_first=True)
        self.tied, self.fused, self.unused = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(2, 2)
        self.image_head, self.sound_head = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, inputs: Inputs) -> Inputs:
        """Logits of each source."""
        image = self.image(inputs["image"])
        sound = self.sound(*[inputs["sound"]] * 3, need_weights=False)[0].mean(1)
        fused = self.fused(self.tied(image).tanh() + self.tied(sound).tanh())
        return {"fusion": fused, "image": self.image_head(image), "sound": self.sound_head(sound)}

    def partition(self) -> ModalityPartition:
        """The tied and the unused layer are shared."""
        modalities = {"image": (self.image, self.image_head), "sound": (self.sound, self.sound_head)}
        return ModalityPartition(modalities, shared=(self.tied, self.fused, self.unused), model=self)


NETWORKS: dict[str, Callable[[], PlainNetwork | RichNetwork]] = {"plain": PlainNetwork, "rich": RichNetwork}


def batch(samples: int = 12, seed: int = 1, dtype: torch.dtype = torch.float64) -> tuple[Inputs, Tensor]:
    """Inputs of both modalities and classes; the seed alone decides."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(samples, 5, generator=generator, dtype=torch.float64)
    sound = torch.randn(samples, 4, 6, generator=generator, dtype=torch.float64)
    targets = torch.randint(3, (samples,), generator=generator)
    return {"image": image.to(dtype), "sound": sound.to(dtype)}, targets


def losses_of(network: nn.Module, samples: int = 12, seed: int = 1, without: str | None = None) -> Losses:
    """Cross-entropy [N] of each source on ``batch``; ``without`` leaves one modality out."""
    inputs, targets = batch(samples, seed, next(network.parameters()).dtype)
    present = {modality: value for modality, value in inputs.items() if modality != without}
    logits = network(present)
    return {s: functional.cross_entropy(z, targets, reduction="none") for s, z in logits.items()}


def gradients_of(network: nn.Module) -> dict[str, Tensor]:
    """``.grad`` of each parameter that has one, by name."""
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
