"""Checks of integer vectors: class indices, group numbers, and the positions of samples."""

import torch
from torch import Tensor

from bogc.checks import check_type, check_values
from bogc.errors import DataError, DeviceError, DtypeError, ShapeError


def check_integers(parameter: str, value: Tensor) -> None:
    """Raise unless ``value`` is an int64 vector. Does not read the device.

    Args:
        parameter: Name to use in the error.
        value: What should be int64, [n].

    Raises:
        TypeMismatchError: It is no tensor.
        DtypeError: It is not int64.
        ShapeError: It has no axis, or more than one.
    """
    check_type(parameter, value, Tensor, "Pass a torch.Tensor.")
    if value.dtype != torch.int64:
        raise DtypeError(parameter, "must be int64", value.dtype, "Convert it with .long().")
    if value.ndim != 1:
        raise ShapeError(parameter, "must have one axis", list(value.shape), "Flatten it.")


def check_indices(parameter: str, value: Tensor) -> None:
    """Raise unless ``value`` is an int64 vector of at least one index. Does not read the device.

    Raises:
        DataError: It is empty; and the errors of :func:`check_integers`.
    """
    check_integers(parameter, value)
    if len(value) == 0:
        raise DataError(parameter, "must hold at least one index", "none", "Choose at least one sample.")


def check_index_range(parameter: str, value: Tensor, length: int) -> None:
    """Raise RangeError unless every index lies in [0, ``length``). Reads the device."""
    valid = (value >= 0) & (value < length)
    check_values(parameter, f"must lie in [0, {length})", value, valid, "Count from zero.")


def check_same_device(parameter: str, value: Tensor, device: torch.device) -> None:
    """Raise DeviceError unless ``value`` is on ``device``."""
    if value.device != device:
        found = str(value.device)
        raise DeviceError(parameter, f"must be on {device}", found, f"Move it with .to({str(device)!r}).")
