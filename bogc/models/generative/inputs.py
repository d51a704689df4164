"""Checks of what a generative model is given: modality -> values in [0, 1], one row a sample."""

from collections.abc import Mapping

from torch import Tensor

from bogc.checks import check_alike, check_finite, check_floating, check_type, check_values
from bogc.errors import DataError, ShapeError


def widths_of(inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """Modality -> length of its last axis; 0 without any, which ``check_inputs`` then refuses."""
    return {name: values.shape[-1] if values.ndim else 0 for name, values in inputs.items()}


def check_inputs(inputs: Mapping[str, Tensor], widths: Mapping[str, int]) -> None:
    """Raise unless ``inputs`` holds some of the modalities of ``widths``, each [N, width], in [0, 1].

    Reads the values, so on a GPU it waits for the device.

    Raises:
        TypeMismatchError: It is no mapping to tensors.
        DataError: A modality is unknown, none is given, or there is no sample.
        ShapeError: Axes are not [N, width], or modalities differ in N.
        DtypeError: Values are not floating point, or dtypes are mixed.
        DeviceError: Devices are mixed.
        NonFiniteError: A value is NaN or infinite.
        RangeError: A value lies outside [0, 1].
    """
    check_type("inputs", inputs, Mapping, "Pass a dict from modality to values.")
    unknown = [name for name in inputs if name not in widths]
    if unknown or not inputs:
        found = f"unknown {unknown}" if unknown else "none"
        raise DataError("inputs", f"must hold some of {list(widths)}", found, "Name modalities as built.")
    for name, values in inputs.items():
        _check_values_of(f"inputs[{name!r}]", values, widths[name])
    check_alike("inputs", *inputs.values())
    rows = {name: len(values) for name, values in inputs.items()}
    if len(set(rows.values())) > 1:
        raise ShapeError("inputs", "must have one number of rows", rows, "Align the samples.")


def check_complete(inputs: Mapping[str, Tensor], widths: Mapping[str, int]) -> None:
    """Raise as ``check_inputs`` does, and DataError if a modality of ``widths`` is absent."""
    check_inputs(inputs, widths)
    absent = [name for name in widths if name not in inputs]
    if absent:
        remedy = "Training needs every modality; only filling works without some."
        raise DataError("inputs", f"must hold all of {list(widths)}", f"no {absent}", remedy)


def _check_values_of(parameter: str, values: Tensor, width: int) -> None:
    check_floating(parameter, values)
    if values.ndim != 2 or values.shape[1] != width:
        raise ShapeError(parameter, f"must be [N, {width}]", list(values.shape), "Flatten each sample.")
    if len(values) == 0:
        raise DataError(parameter, "must have at least one row", "none", "Pass samples.")
    check_finite(parameter, values, "A missing modality is left out of the mapping, not set to NaN.")
    inside = (values >= 0) & (values <= 1)
    remedy = "Scale it: a value is the probability that a binary unit is 1."
    check_values(parameter, "must lie in [0, 1]", values, inside, remedy)
