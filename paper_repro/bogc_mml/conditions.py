"""What is done to the training data; validation and test data stay clean."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from bogc.checks import check_number
from bogc.data import MultimodalDataset
from bogc.errors import DataError

Spoil = Callable[[MultimodalDataset], MultimodalDataset]


def flip_labels(data: MultimodalDataset, share: float, seed: int) -> MultimodalDataset:
    """Give a ``share`` of the samples, chosen at random, another class, each other one equally likely.

    Raises:
        RangeError: ``share`` is not within [0, 1].
    """
    chosen, generator = _chosen(len(data), share, seed)
    classes = len(data.class_names)
    moved = torch.randint(1, classes, (len(chosen),), generator=generator)
    targets = data.targets.clone()
    targets[chosen] = (targets[chosen] + moved) % classes
    return replace(data, targets=targets)


def shuffle_modality(data: MultimodalDataset, modality: str, share: float, seed: int) -> MultimodalDataset:
    """Exchange ``modality`` among a ``share`` of the samples, chosen at random: there it says nothing.

    Raises:
        RangeError: ``share`` is not within [0, 1].
        DataError: There is no such modality.
    """
    if modality not in data.inputs:
        raise DataError("modality", f"must be one of {', '.join(data.inputs)}", repr(modality), "Check it.")
    chosen, _ = _chosen(len(data), share, seed)
    values = data.inputs[modality].clone()
    values[chosen] = values[chosen.roll(1)]
    return replace(data, inputs={**data.inputs, modality: values})


def _chosen(count: int, share: float, seed: int) -> tuple[Tensor, torch.Generator]:
    check_number("share", share, 0 <= share <= 1, "must lie in [0, 1]", "Use 0.4.")
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)[: round(share * count)], generator
