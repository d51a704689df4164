"""Tests of bogc; ``tests.check`` is the run-time type checker that pytest's options name."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Beartype, int accepted for float as in static typing; what runs without pytest need not have it."""
    if name != "check":
        raise AttributeError(name)
    from beartype import BeartypeConf, beartype

    globals()["check"] = beartype(conf=BeartypeConf(is_pep484_tower=True))
    return globals()["check"]
