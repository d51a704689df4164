"""Settings as fields of frozen dataclasses: default, help text, and where a search looks."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeVar

from bogc.balancing.search import Distribution
from bogc.errors import ConfigError

T = TypeVar("T")


def setting(default: Any, text: str, search: Distribution | None = None) -> Any:
    """Return a dataclass field with a default, its flag's help text, and a tuning range if it has one."""
    return field(default=default, metadata={"help": text, "search": search})


def choose(parameter: str, name: str, options: Mapping[str, T]) -> T:
    """Look up ``name``.

    Raises:
        ConfigError: It is not among the options, which the message lists.
    """
    if name not in options:
        raise ConfigError(
            parameter, f"must be one of {', '.join(options)}", repr(name), "Choose one of these."
        )
    return options[name]
