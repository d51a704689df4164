"""Samples seen through several modalities: a mini-batch of them, and a whole data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from bogc.checks import check_alike, check_device, check_finite, check_floating, check_type, check_values
from bogc.errors import DataError, DeviceError, DtypeError, ShapeError, TooFewSamplesError


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


_MOST_UNNAMED_CLASSES = 100_000  # a larger target is an identifier rather than the index of a class


@dataclass(frozen=True, eq=False)
class MultimodalBatch:
    """A mini-batch. Only its structure is checked, so that making one never waits for the device.

    Attributes:
        inputs: Modality to its tensor, [N, ...].
        targets: Class indices, int64, [N].

    Raises:
        DataError: There is no modality, or no sample.
        DtypeError: The targets are not int64.
        ShapeError: A modality has another number of rows than the targets.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor

    def __post_init__(self) -> None:
        check_indices("targets", self.targets)
        _check_rows(self.inputs, len(self.targets))

    def __len__(self) -> int:
        return len(self.targets)

    def without(self, *modalities: str) -> "MultimodalBatch":
        """Leave modalities out.

        Args:
            *modalities: Names of ``inputs``.

        Raises:
            DataError: A name is unknown, or no modality would be left.
        """
        for modality in modalities:
            if modality not in self.inputs:
                rule = f"must be among {list(self.inputs)}"
                raise DataError("modalities", rule, repr(modality), "Check the spelling.")
        kept = {name: value for name, value in self.inputs.items() if name not in modalities}
        if not kept:
            raise DataError("modalities", "must leave at least one", list(modalities), "Leave fewer out.")
        return replace(self, inputs=kept)

    def to(self, device: torch.device | str) -> "MultimodalBatch":
        """Move every tensor; DeviceError if the device is not there."""
        check_device("device", device)
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return replace(self, inputs=inputs, targets=self.targets.to(device))


@dataclass(frozen=True, eq=False)
class MultimodalDataset:
    """A classification data set, held in memory.

    Attributes:
        name: What reports call it.
        inputs: Modality to its finite floating-point tensor, [n, channels, ...]; one dtype, one device.
        targets: Class indices, int64, [n], in [0, number of classes).
        class_names: One distinct name a class.
        groups: Whom or what each sample belongs to (its subject, say), as any int64 number, [n]; samples
            of one group never straddle a split. None when samples are independent.

    Raises:
        DataError: There is no modality, an input is empty, or there are fewer than two distinct class names.
        TooFewSamplesError: There are fewer than two samples.
        ShapeError: Lengths differ, or an input has no channel axis.
        DtypeError: An input is not floating point, or targets or groups are not int64.
        NonFiniteError: An input holds NaN or infinity.
        RangeError: A target is not the index of a class.
        DeviceError: Tensors are on different devices.
    """

    name: str
    inputs: dict[str, Tensor]
    targets: Tensor
    class_names: tuple[str, ...]
    groups: Tensor | None = None

    def __post_init__(self) -> None:
        check_integers("targets", self.targets)
        if len(self) < 2:
            raise TooFewSamplesError("targets", "must be at least two", len(self), "Provide more samples.")
        _check_rows(self.inputs, len(self))
        for modality, value in self.inputs.items():
            _check_input(f"inputs[{modality!r}]", value)
        check_alike("inputs", *self.inputs.values())
        check_same_device("targets", self.targets, next(iter(self.inputs.values())).device)
        _check_classes(self.class_names, self.targets)
        if self.groups is not None:
            _check_groups(self.groups, self.targets)

    @classmethod
    def from_tensors(
        cls,
        inputs: Mapping[str, Tensor],
        targets: Tensor,
        name: str = "tensors",
        class_names: tuple[str, ...] | None = None,
        groups: Tensor | None = None,
    ) -> "MultimodalDataset":
        """Build from a dict of tensors.

        Args:
            inputs: Modality to its tensor, [n, channels, ...].
            targets: Class indices, int64, [n].
            name: What reports call the data set.
            class_names: One name a class; None for "0", "1", ... up to the largest target.
            groups: int64, [n], or None; see the class.

        Raises:
            BogcError: The errors of the class; DataError when a target is too large to number the classes by.
        """
        if class_names is None:
            check_indices("targets", targets)
            highest = int(targets.max())
            if highest >= _MOST_UNNAMED_CLASSES:
                rule = f"must be below {_MOST_UNNAMED_CLASSES} when classes have no names"
                raise DataError("targets", rule, highest, "Number the classes from zero.")
            class_names = tuple(map(str, range(highest + 1)))
        return cls(name, dict(inputs), targets, class_names, groups)

    @classmethod
    def from_items(
        cls,
        dataset: Items,
        name: str = "items",
        class_names: tuple[str, ...] | None = None,
        groups: Tensor | None = None,
    ) -> "MultimodalDataset":
        """Build by stacking the items of a torch-style data set.

        Args:
            dataset: Gives ``(modality -> tensor [...], class index)`` for 0..len-1; each tensor has at least
                one axis.
            name: What reports call the data set.
            class_names: As for :meth:`from_tensors`.
            groups: As for :meth:`from_tensors`.

        Raises:
            BogcError: The errors of the class, and those of ``stack_items``.
        """
        inputs, targets = stack_items(dataset)
        return cls.from_tensors(inputs, targets, name, class_names, groups)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.inputs)

    def take(self, indices: Tensor) -> MultimodalBatch:
        """Gather a mini-batch.

        Args:
            indices: int64, [N], on the device of the data. Their range is checked on the CPU only, because
                reading them elsewhere would wait for the device.

        Raises:
            BogcError: They are not a vector of indices, are on another device, or (on the CPU) out of range.
        """
        self._check_positions(indices, read=indices.device.type == "cpu")
        inputs = {modality: value[indices] for modality, value in self.inputs.items()}
        return MultimodalBatch(inputs, self.targets[indices])

    def subset(self, indices: Tensor) -> "MultimodalDataset":
        """Make the data set of the samples at ``indices``, int64, [k], in their order.

        Raises:
            BogcError: As :meth:`take`, with the range checked on every device; fewer than two samples.
        """
        self._check_positions(indices, read=True)
        inputs = {modality: value[indices] for modality, value in self.inputs.items()}
        groups = None if self.groups is None else self.groups[indices]
        return replace(self, inputs=inputs, targets=self.targets[indices], groups=groups)

    def to(self, device: torch.device | str) -> "MultimodalDataset":
        """Move every tensor; DeviceError if the device is not there."""
        check_device("device", device)
        inputs = {modality: value.to(device) for modality, value in self.inputs.items()}
        groups = None if self.groups is None else self.groups.to(device)
        return replace(self, inputs=inputs, targets=self.targets.to(device), groups=groups)

    def _check_positions(self, indices: Tensor, read: bool) -> None:
        check_indices("indices", indices)
        check_same_device("indices", indices, self.targets.device)
        if read:
            check_index_range("indices", indices, len(self))


def _check_rows(inputs: Mapping[str, Tensor], samples: int) -> None:
    if not inputs:
        raise DataError("inputs", "must hold at least one modality", "none", "Add a modality.")
    for modality, value in inputs.items():
        check_type("a modality's name", modality, str, "Name modalities by strings.")
        check_type(f"inputs[{modality!r}]", value, Tensor, "Pass a torch.Tensor.")
        if value.ndim == 0 or len(value) != samples:
            rule = f"must have {samples} rows, one a target"
            raise ShapeError(f"inputs[{modality!r}]", rule, list(value.shape), "Align it with the targets.")


def _check_input(parameter: str, value: Tensor) -> None:
    check_floating(parameter, value)
    if value.ndim < 2:
        raise ShapeError(parameter, "must have a channel axis", list(value.shape), "Use .unsqueeze(1).")
    if value.numel() == 0:
        raise DataError(parameter, "must not be empty", list(value.shape), "Leave the modality out.")
    check_finite(parameter, value, "Impute or drop the sample.")


def _check_classes(names: tuple[str, ...], targets: Tensor) -> None:
    if len(set(names)) != len(names) or len(names) < 2:
        raise DataError("class_names", "must be two or more distinct names", names, "Name every class once.")
    check_index_range("targets", targets, len(names))


def _check_groups(groups: Tensor, targets: Tensor) -> None:
    check_integers("groups", groups)
    if len(groups) != len(targets):
        rule = f"must have {len(targets)} rows, one a target"
        raise ShapeError("groups", rule, list(groups.shape), "Give every sample a group.")
    check_same_device("groups", groups, targets.device)


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
