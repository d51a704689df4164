"""Comparing what two derivations give: symbols, fractions and numbers."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import sympy

from theory.registry import Check


def zipped(*columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Zip sequences of one length."""
    return zip(*columns, strict=True)


def symbols(name: str, count: int = 3) -> list[Any]:
    """Positive symbols name1, name2, ..."""
    return list(sympy.symbols(f"{name}1:{count + 1}", positive=True))


def differ(left: Sequence[Any], right: Sequence[Any]) -> float:
    """0 if all entries are equal as rational functions, else 1."""
    return float(any(sympy.expand(sympy.numer(sympy.together(x - y))) != 0 for x, y in zipped(left, right)))


def largest(left: Sequence[Any], right: Sequence[Any]) -> float:
    """Largest absolute difference; exactly 0 for equal fractions."""
    return max(abs(float(x - y)) for x, y in zipped(left, right))


def checks_in(module: ModuleType) -> dict[str, Check]:
    """Checks that ``module`` declares for a chapter, by name."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Check)}
