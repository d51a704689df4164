"""The items of a torch-style data set, checked against each other and stacked."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from bogc.checks import check_alike, check_floating
from bogc.errors import DataError, ShapeError, TooFewSamplesError


@runtime_checkable
class Items(Protocol):
    """Anything that gives ``(modality -> tensor, class index)`` for 0..len-1, such as a torch ``Dataset``."""

    def __len__(self) -> int:
        """Count the items."""
        ...

    def __getitem__(self, index: int, /) -> tuple[Mapping[str, Tensor], int | Tensor]:
        """Give the inputs, each [...] without a sample axis, and the class index."""
        ...


def stack_items(dataset: Items) -> tuple[dict[str, Tensor], Tensor]:
    """Stack the items of a torch-style data set.

    Args:
        dataset: Gives ``(modality -> tensor [...], class index)``; every item has the modalities, shapes,
            dtypes and device of item 0.

    Returns:
        Modality to its tensor, [n, ...], and the class indices, int64, [n].

    Raises:
        TooFewSamplesError: There is no item.
        DataError: There is no modality, an item is no such pair, or its modalities differ.
        ShapeError: The shape of a modality differs.
        DtypeError: A modality is not floating point, or of another dtype.
        TypeMismatchError: A modality is not a tensor.
        DeviceError: A modality is on another device.
    """
    items = [_checked(index, dataset[index]) for index in range(len(dataset))]
    if not items:
        raise TooFewSamplesError("dataset", "must have at least two items", 0, "Provide more samples.")
    first, _ = items[0]
    if not first:
        raise DataError("dataset[0]", "must hold at least one modality", "none", "Add a modality.")
    for index, (inputs, _) in enumerate(items):
        _check_like_first(index, inputs, first)
    stacked = {modality: torch.stack([inputs[modality] for inputs, _ in items]) for modality in first}
    device = next(iter(stacked.values())).device
    return stacked, torch.tensor([target for _, target in items], device=device)


def _checked(index: int, item: object) -> tuple[Mapping[str, Tensor], int]:
    parameter, remedy = f"dataset[{index}]", "Return (dict of modality to tensor, class index)."
    match item:
        case (Mapping() as inputs, int() as target):
            return inputs, target
        case (Mapping() as inputs, Tensor(ndim=0) as target) if not target.is_floating_point():
            return inputs, int(target)
        case (_, _):
            raise DataError(parameter, "must be a dict of tensors and an integer", repr(item)[:80], remedy)
    raise DataError(parameter, "must be a pair (inputs, target)", type(item).__name__, remedy)


def _check_like_first(index: int, inputs: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> None:
    if inputs.keys() != first.keys():
        rule = f"must have the modalities of item 0, {list(first)}"
        raise DataError(f"dataset[{index}]", rule, list(inputs), "Give every item every modality.")
    for modality, value in inputs.items():
        parameter = f"dataset[{index}][{modality!r}]"
        check_floating(parameter, value)
        check_alike(f"{parameter} and item 0", value, first[modality])
        if value.shape != first[modality].shape:
            rule = f"must have the shape of item 0, {list(first[modality].shape)}"
            raise ShapeError(parameter, rule, list(value.shape), "Crop or pad it.")
