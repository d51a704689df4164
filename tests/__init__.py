"""Tests of bogc; ``tests.check`` is the run-time type checker that pytest's options name."""

from collections.abc import Callable
from functools import cache
from typing import Any


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Beartype, int accepted for float as in static typing; what runs without pytest need not have it.

    For each function jaxtyping asks for two checks: of its arguments before a call, and of arguments and
    result after it. The second leaves out the arguments, whose shapes the first has bound.
    """
    annotations = function.__annotations__
    code = function.__code__
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if named and named[-1].startswith("ret") and annotations.get(named[-1]) is Any:
        function.__annotations__ = {"return": annotations["return"]}
    checked: Callable[..., Any] = _beartype()(function)
    return checked


@cache
def _beartype() -> Callable[..., Any]:
    from beartype import BeartypeConf, beartype

    return beartype(conf=BeartypeConf(is_pep484_tower=True))
