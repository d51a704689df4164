"""Formulas and checks: what a chapter's Python file declares about its numbered equations.

A chapter states its equations in ``NN_name.md`` and repeats each right-hand side as a plain function in
``NN_name.py``, marked ``@formula``. A function marked ``@check`` compares formulas with something
independent: a symbolic derivation, an enumeration in exact rationals, a simulation, or the code in bogc. It
returns the largest error that it found. The mutation run changes one operator or constant of a formula at a
time and expects a check of that equation to fail, so a check that cannot fail is found out.

A function marked ``@reads`` says what the symbols of a display stand for, so that the display itself is
evaluated and compared with the formulas (``theory.display``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

EQUATION = re.compile(r"\d+\.\d+")


class How(StrEnum):
    """Means by which an equation is checked."""

    SYMBOLIC = "symbolic"
    RATIONAL = "exact rational"
    EXHAUSTIVE = "exhaustive"
    PROPERTY = "property"
    MONTE_CARLO = "Monte Carlo"
    NUMERICAL = "numerical"
    DISPLAY = "display"


@dataclass(frozen=True)
class Check:
    """One check of one or more equations.

    Attributes:
        equations: Their numbers, such as ``("4.7",)``.
        how: The means.
        tolerance: Largest error that passes; 0 for exact checks.
        code: Dotted name of the code in bogc that uses the equation, or "".
        failure_rate: Probability that a correct Monte Carlo check fails; 0 for the others.
        run: Returns the largest error found.
    """

    equations: tuple[str, ...]
    how: How
    tolerance: float
    code: str
    failure_rate: float
    run: Callable[[], float]

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.run.__name__


def formula(*equations: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function as the right-hand side of ``equations``; the mutation run changes its source."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.equations = _numbers(equations)  # type: ignore[attr-defined]
        return function

    return mark


def check(
    *equations: str, how: How, tolerance: float = 0.0, code: str = "", failure_rate: float = 0.0
) -> Callable[[Callable[[], float]], Check]:
    """Turn a function without arguments that returns its largest error into a Check.

    Raises:
        ValueError: An equation number is malformed, or a Monte Carlo check states no failure rate.
    """
    if (how is How.MONTE_CARLO) != (failure_rate > 0):
        raise ValueError(f"{equations}: a Monte Carlo check, and no other, states its failure_rate")

    def make(function: Callable[[], float]) -> Check:
        return Check(_numbers(equations), how, tolerance, code, failure_rate, function)

    return make


@dataclass(frozen=True)
class Reading:
    """What the symbols of a display stand for.

    Attributes:
        scope: Maps a source of random numbers to LaTeX -> number, array, range or function.
        draws: Number of random points.
        tolerance: Relative difference that counts as rounding.
    """

    scope: Callable[[Any], dict[str, Any]]
    draws: int
    tolerance: float


READINGS: dict[str, Reading] = {}


def reads(
    number: str, draws: int = 3, tolerance: float = 1e-9
) -> Callable[[Callable[[Any], dict[str, Any]]], Callable[[Any], dict[str, Any]]]:
    """Mark a function as the reading of a display.

    Raises:
        ValueError: The number is malformed or has a reading already.
    """
    if number in READINGS:
        raise ValueError(f"display {number} has two readings")
    _numbers((number,))

    def mark(function: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
        READINGS[number] = Reading(function, draws, tolerance)
        return function

    return mark


def checks_of(module: ModuleType) -> list[Check]:
    """Return the checks that a chapter's file declares or imports, by equation."""
    found = [value for value in vars(module).values() if isinstance(value, Check)]
    return sorted(found, key=lambda check: min(tuple(map(int, n.split("."))) for n in check.equations))


def formulas_of(module: ModuleType) -> list[Callable[..., Any]]:
    """Return the formulas that a chapter's file declares, in order."""
    return [value for value in vars(module).values() if hasattr(value, "equations") and callable(value)]


def _numbers(equations: tuple[str, ...]) -> tuple[str, ...]:
    if not equations or not all(EQUATION.fullmatch(number) for number in equations):
        raise ValueError(f"equations must be numbers such as '4.7'; found {equations}")
    return equations
