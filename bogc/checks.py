"""Checks of arguments: cheap ones of structure, and ones that read values.

Checks of structure (type, shape, dtype, device) cost nothing on any device and always run. Checks of
values read the tensor: on a GPU that waits for the device, so the hot path builds its objects with
``unchecked`` and the tests of each producer assert what the check would have.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Final, Generic, TypeVar

import torch
from torch import Tensor

from bogc.errors import (
    BogcError,
    DeviceError,
    DtypeError,
    NonFiniteError,
    RangeError,
    ShapeError,
    TypeMismatchError,
)

T = TypeVar("T")
FLOATS: Final = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""Dtypes that can be calculated with; those of eight bits cannot."""


class once(Generic[T]):  # noqa: N801
    """A property computed once an object; functools' own takes a lock that torch.compile cannot enter."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        """Compute it, and put it where it is found first from then on."""
        value = self.compute(instance)
        instance.__dict__[self.name] = value
        return value


class Unchecked:
    """Mixin of a frozen dataclass whose ``__post_init__`` checks values."""

    @classmethod
    def unchecked(cls: type[T], **fields: Any) -> T:
        """Build without ``__post_init__``; every field must be given, and the caller vouches for it."""
        self = object.__new__(cls)
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        return self


def check_type(parameter: str, value: object, expected: type, remedy: str) -> None:
    """Raise TypeMismatchError unless ``value`` is an ``expected``."""
    if not isinstance(value, expected):
        found = type(value).__name__
        raise TypeMismatchError(parameter, f"must be of type {expected.__name__}", found, remedy)


def check_real(**numbers: object) -> None:
    """Raise unless all are real numbers that a float can hold; before anything is compared with them."""
    for parameter, value in numbers.items():
        check_type(parameter, value, Real, "Pass an int or a float.")
        try:
            float(value)  # type: ignore[arg-type]
        except OverflowError:
            raise RangeError(parameter, "must fit into a float", "a longer one", "Use less.") from None


def check_whole(**numbers: object) -> None:
    """Raise unless all are whole numbers."""
    check_real(**numbers)
    for parameter, value in numbers.items():
        check_type(parameter, value, Integral, "Pass an int.")


def check_list(parameter: str, values: object) -> None:
    """Raise TypeMismatchError unless ``values`` is a list or a tuple."""
    if not isinstance(values, list | tuple):
        found = type(values).__name__
        raise TypeMismatchError(parameter, "must be a list or a tuple", found, "Put the objects into a list.")


def check_floating(parameter: str, value: Tensor) -> None:
    """Raise unless ``value`` is a dense tensor of real floating-point numbers."""
    check_type(parameter, value, Tensor, "Pass a torch.Tensor.")
    if value.layout != torch.strided:
        raise DtypeError(parameter, "must be dense", value.layout, "Convert it with .to_dense().")
    if value.dtype not in FLOATS:
        raise DtypeError(parameter, "must be floating point", value.dtype, "Convert it with .float().")


def check_alike(parameters: str, *values: Tensor) -> None:
    """Raise unless all tensors have one dtype and one device."""
    dtypes = {value.dtype for value in values}
    if len(dtypes) > 1:
        raise DtypeError(
            parameters, "must have one dtype", sorted(map(str, dtypes)), "Convert with .to(dtype)."
        )
    devices = {value.device for value in values}
    if len(devices) > 1:
        found = sorted(map(str, devices))
        raise DeviceError(parameters, "must be on one device", found, "Move them with .to(device).")


def check_broadcastable(parameters: str, *values: Tensor) -> None:
    """Raise unless the shapes broadcast against each other."""
    try:
        torch.broadcast_shapes(*(value.shape for value in values))
    except RuntimeError:
        found = ", ".join(str(list(value.shape)) for value in values)
        raise ShapeError(parameters, "must have shapes that broadcast", found, "Align their axes.") from None


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Return the index of the first True of ``mask`` (of at least one)."""
    return tuple(int(i) for i in mask.nonzero()[0])


def check_values(
    parameter: str,
    rule: str,
    value: Tensor,
    valid: Tensor,
    remedy: str,
    error: type[BogcError] = RangeError,
) -> None:
    """Raise ``error`` at the first element of ``value`` where ``valid`` is False. Reads the device."""
    if valid.is_meta:
        raise DeviceError(parameter, "must hold numbers", "a tensor on device meta", "Move it to cpu.")
    if not bool(valid.all()):
        index = first_index(~valid)
        found = f"{value[index].item():.6g} at index {list(index)}" if index else f"{value.item():.6g}"
        raise error(parameter, rule, found, remedy)


def check_finite(parameter: str, value: Tensor, remedy: str = "Look for overflow where it was made.") -> None:
    """Raise NonFiniteError if any element is NaN or infinite. Reads the device."""
    check_values(parameter, "must be finite", value, torch.isfinite(value), remedy, NonFiniteError)


def check_device(parameter: str, device: torch.device | str) -> None:
    """Raise DeviceError unless torch can put a number on ``device`` and read it back."""
    try:
        torch.zeros((), device=device).item()
    except Exception as error:  # assertions without CUDA, imports, ...
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DeviceError(parameter, "must be usable by torch", f"{device} ({reason})", "Use cpu.") from None


def check_number(parameter: str, value: float, valid: bool, rule: str, remedy: str) -> None:
    """Raise RangeError unless ``valid``; for plain numbers, given as a setting."""
    if not valid:
        raise RangeError(parameter, rule, value, remedy)
