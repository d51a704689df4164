"""Modules and inputs by modality: which names torch accepts, and which a network knows."""

from collections.abc import Collection, Mapping

from torch import nn

from bogc.errors import ConfigError, DataError


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


def check_inputs(inputs: Mapping[str, object], known: Collection[str]) -> None:
    """Raise unless ``inputs`` holds some of the ``known`` modalities and no other.

    Raises:
        DataError: No modality, or an unknown one.
    """
    unknown = sorted(inputs.keys() - set(known))
    if unknown or not inputs:
        found = f"unknown {unknown}" if unknown else "none"
        raise DataError("inputs", f"must hold some of {list(known)}", found, "Name modalities as built.")
