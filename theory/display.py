"""Displays: what a chapter's equations claim, read as LaTeX and evaluated on numbers.

A display holds statements, chains of sides and relations. Its reading, a function marked ``@reads``, binds
each symbol to a number, an array, a range or a function on random points; what the display claims is bound
to the values of formulas or of something independent. Every relation must then hold.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from numbers import Integral, Real
from typing import Any

import numpy as np

from theory.grammar import Parser
from theory.latex import Key, split, tokens
from theory.registry import READINGS, Check, How
from theory.values import RELATIONS, Average, UnreadableError, same

WORDS = tuple(rf"\text{{{words}}}" for words in ("hence", "that is", "and", "since"))
AND = (",", r"\quad", r"\qquad", r"\Longrightarrow", r"\Longleftrightarrow", *WORDS)
IF, OTHERWISE = (r"\text{if}", r"\text{for}"), r"\text{otherwise}"
DECIMALS = re.compile(r"[-().,\d]*\.(\d+)[-().,\d]*")
BOUNDS = (r"\le", r"\ge")
Scope = Mapping[Key, Any]


@dataclass(frozen=True)
class Point:
    """One random point of a reading.

    Attributes:
        scope: Tokens of a name -> its value.
        sharp: Numbers of the bounds of the display that are attained there: the entry "sharp" of the reading.
    """

    scope: Scope
    sharp: tuple[int, ...]


class WrongDisplayError(AssertionError):
    """A statement of a display that does not hold, with the values of both sides."""


@dataclass(frozen=True)
class Statement:
    """One statement of a display.

    Attributes:
        text: Its tokens.
        condition: Tokens of the relation under which, and only under which, it holds, or ().
        negated: Whether it is the other way round.
    """

    text: Key
    condition: Key = ()
    negated: bool = False

    @property
    def bounds(self) -> int:
        """Number of bounds, which may be declared sharp."""
        return len(split(self.text, BOUNDS)) - 1

    def holds(self, point: Point, tolerance: float, first: int = 0) -> int:
        """Return for how many values of its free indices it holds; ``first`` numbers its first bound.

        Raises:
            WrongDisplayError: It does not hold where it should, or holds where its condition does not.
        """
        text, sides = " ".join(self.text), split(self.text, tuple(RELATIONS))
        chain = Parser(self.text, point.scope).chain()
        condition = Parser(self.condition, point.scope).chain() if self.condition else None
        if not chain.relations or len(set(sides)) < len(sides):
            raise UnreadableError(f"{text}: claims nothing")
        numbers = iter(range(first, first + self.bounds))
        sharp = ("=" if name in BOUNDS and next(numbers) in point.sharp else name for name in chain.relations)
        chain, demanded = replace(chain, relations=tuple(sharp)), 0
        for scope in chain.each(point.scope):
            due = not condition or bool(condition.broken(scope)) == self.negated
            found = chain.broken(scope, relations(self.text, tolerance))
            if due and found:
                raise WrongDisplayError(f"{text}: {found}")
            if not due and not found:
                raise WrongDisplayError(f"{text}: holds, its condition {' '.join(self.condition)} does not")
            demanded += due
        return demanded


def relations(text: Key, tolerance: float) -> dict[str, Any]:
    """Relations with a display's tolerance; an approximate decimal claims all its digits."""
    last = "".join(split(text, tuple(RELATIONS))[-1])
    decimals = DECIMALS.fullmatch(last)
    exact = {name: lambda a, b: same(a, b, tolerance) for name in ("=", r"\sim", r"\longrightarrow")}
    if decimals and r"\approx" in text:
        exact[r"\approx"] = lambda a, b: bool(np.all(np.abs(a - b) <= 0.5001 * 10.0 ** -len(decimals[1])))
    return {**RELATIONS, **exact}


def statements(text: Sequence[str]) -> list[Statement]:
    """Cut the tokens of a display into statements."""
    found: list[Statement] = []
    for part in split(text, AND):
        plain = part[:-1] if part[-1] == "." else part
        at = next((i for i, token in enumerate(plain) if token in IF), len(plain))
        if plain and plain[-1] == OTHERWISE:
            if not found or not found[-1].condition:
                raise UnreadableError(f"{' '.join(plain)}: other than what?")
            found.append(Statement(plain[:-1], found[-1].condition, negated=True))
        elif plain and at == 0 and found:
            found[-1] = Statement(found[-1].text, plain[1:])
        elif plain:
            found.append(Statement(plain[:at], plain[at + 1 :]))
    return found


@cache
def points(number: str) -> tuple[Point, ...]:
    """Random points of a display's reading.

    Raises:
        UnreadableError: There is no reading.
    """
    import_module(f"theory.support.readings_{int(number.partition('.')[0]):02}")
    if number not in READINGS:
        raise UnreadableError(f"display {number} has no reading; mark a function @reads({number!r})")
    reading = READINGS[number]
    found = [reading.scope(Draw(i)) for i in range(reading.draws)]
    return tuple(Point(bound(scope), tuple(scope.get("sharp", ()))) for scope in found)


def bound(scope: Mapping[str, Any]) -> Scope:
    """Return a scope with tokens for its names and plain numbers and arrays for its values."""
    return {tokens(name): plain(value) for name, value in scope.items() if name != "sharp"}


def plain(value: Any) -> Any:
    """Return floats for fractions, arrays for lists of numbers, anything else as it is."""
    if isinstance(value, Average):
        return Average([bound(outcome) for outcome in value.outcomes], [float(w) for w in value.weights])
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, list | tuple) and all(isinstance(x, Real | list | tuple) for x in value):
        return np.array(value, float)
    return value


def read(number: str, text: Sequence[str]) -> None:
    """Check a display's tokens against its reading.

    Raises:
        WrongDisplayError: A statement does not hold.
        UnreadableError: It cannot be read, or one of its statements is never demanded.
    """
    if not text:
        raise UnreadableError(f"display {number} is empty")
    found, first = points(number), 0
    for statement in statements(text):
        if not sum(statement.holds(point, READINGS[number].tolerance, first) for point in found):
            raise UnreadableError(f"{' '.join(statement.text)}: demanded at no point")
        first += statement.bounds


def display_check(number: str, text: str) -> Check:
    """Return the check that a display says what its reading says."""

    def displayed() -> float:
        read(number, tokens(text))
        return 0.0

    return Check((number,), How.DISPLAY, 0.0, "", 0.0, displayed)


class Draw:
    """Random numbers for one point of a reading; ``index`` counts the points."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.rng = np.random.default_rng(index)

    def positive(self, *shape: int) -> Any:
        """Between 0.4 and 2.4."""
        return self._numbers(0.4, 2.4, shape)

    def real(self, *shape: int) -> Any:
        """Between -2 and 2."""
        return self._numbers(-2.0, 2.0, shape)

    def share(self, *shape: int) -> Any:
        """Between 0.1 and 0.9."""
        return self._numbers(0.1, 0.9, shape)

    def count(self, low: int = 3, high: int = 7) -> int:
        """A whole number from ``low`` to ``high``."""
        return int(self.rng.integers(low, high + 1))

    def masses(self, size: int) -> Any:
        """Positive numbers that sum to 1."""
        return self.rng.dirichlet(np.ones(size))

    def opinion(self, hypotheses: int = 3) -> tuple[Any, float]:
        """Beliefs and uncertainty."""
        *belief, uncertainty = self.masses(hypotheses + 1).tolist()
        return np.array(belief), uncertainty

    def _numbers(self, low: float, high: float, shape: tuple[int, ...]) -> Any:
        return self.rng.uniform(low, high, shape) if shape else float(self.rng.uniform(low, high))
