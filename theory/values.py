"""Values that the symbols of a display stand for, and the arithmetic on them."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy.special import digamma, gamma, gammaln, ndtr

from theory.latex import tokens


class UnreadableError(ValueError):
    """A display that the subset of LaTeX, or the scope of its reading, does not cover."""


class Each:
    """A range: the values that an index takes."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = list(values)


class Of:
    """A term written out in full, such as a derivative, whose value depends on the indices in it."""

    def __init__(self, names: str, function: Callable[..., Any]) -> None:
        self.names = [tokens(name) for name in names.split()]
        self.function = function

    def __call__(self, env: Mapping[Any, Any]) -> Any:
        """Return the value at the present indices."""
        return self.function(*(env[name] for name in self.names))


class Operator:
    """What is written before a term without brackets, such as a derivative: a function of the term."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, body: Callable[[Any], Any], env: Mapping[Any, Any]) -> Any:
        """Return the value of the operator on the body."""
        return self.function(body(env))


class Average(Operator):
    """An expectation: outcomes, each the values of some symbols, and their probabilities."""

    def __init__(self, outcomes: Sequence[Mapping[Any, Any]], weights: Sequence[Any] | None = None) -> None:
        self.outcomes = list(outcomes)
        self.weights = [1 / len(outcomes)] * len(outcomes) if weights is None else list(weights)

    def __call__(self, body: Callable[[Any], Any], env: Mapping[Any, Any]) -> Any:
        """Return the mean of the body."""
        pairs = zip(self.weights, self.outcomes, strict=True)
        return sum(weight * body({**env, **outcome}) for weight, outcome in pairs)


def pick(value: Any, index: Any) -> Any:
    """Element of a mapping, or of an array whose indices start at 1."""
    if isinstance(value, Mapping):
        return value[index]
    if not np.ndim(value) and not isinstance(value, list):
        raise UnreadableError(f"a subscript of {value}, which is no array")
    if not 1 <= index <= len(value):
        raise UnreadableError(f"index {index} outside 1..{len(value)}")
    return value[int(index) - 1]


def times(a: Any, b: Any) -> Any:
    """Product: of matrices where both are, else elementwise."""
    if np.ndim(a) == 2 and np.ndim(b) == 2:
        found = a @ b
        return found.item() if found.size == 1 else found
    return a * b


def power(a: Any, b: Any) -> Any:
    """Power, real."""
    return np.asarray(a, float) ** b if np.ndim(a) else float(a) ** b


def length(value: Any) -> Any:
    """Size of a set, absolute value of anything else."""
    return len(value) if isinstance(value, frozenset) else np.abs(value)


def norm(value: Any) -> float:
    """Euclidean length."""
    return float(np.sqrt(np.sum(np.square(value))))


def mean(value: Any, other: Any = None) -> Any:
    """Mean over the first axis or, of two vectors, their inner product."""
    return np.mean(value, axis=0) if other is None else float(np.sum(np.multiply(value, other)))


def rounded(a: Any, b: Any, tolerance: float = 1e-9) -> Any:
    """Difference of two numbers that counts as rounding."""
    return tolerance * np.maximum(np.abs(a), np.abs(b)) + 1e-13


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two sets, numbers or arrays are equal but for rounding."""
    if isinstance(a, frozenset | str) or isinstance(b, frozenset | str):
        return bool(a == b)
    left, right = np.squeeze(np.asarray(a, float)), np.squeeze(np.asarray(b, float))
    if left.shape != right.shape and left.ndim and right.ndim:
        raise UnreadableError(f"shapes {left.shape} and {right.shape} are compared")
    close = np.abs(left - right) <= rounded(left, right, tolerance)
    return bool(np.all(close & np.isfinite(left) & np.isfinite(right)))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    r"\log": np.log,
    r"\ln": np.log,
    r"\exp": np.exp,
    r"\tanh": np.tanh,
    r"\Gamma": gamma,
    r"\ln\Gamma": gammaln,
    r"\psi": digamma,
    r"\Phi": ndtr,
}
BIG: dict[str, Callable[[Sequence[Any]], Any]] = {
    r"\sum": lambda values: reduce(lambda a, b: a + b, values, 0),
    r"\prod": lambda values: reduce(lambda a, b: a * b, values, 1),
    r"\max": max,
    r"\min": min,
}
RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: same(a, b, 1e-9),
    r"\sim": lambda a, b: same(a, b, 1e-9),
    r"\longrightarrow": lambda a, b: same(a, b, 1e-9),
    r"\approx": lambda a, b: same(a, b, 1e-3),
    r"\ne": lambda a, b: not same(a, b, 1e-9),
    "<": lambda a, b: bool(np.all(a < b)),
    ">": lambda a, b: bool(np.all(a > b)),
    r"\le": lambda a, b: bool(np.all(a <= b + rounded(a, b))),
    r"\ge": lambda a, b: bool(np.all(a >= b - rounded(a, b))),
    r"\propto": lambda a, b: same(a / np.sum(a), b / np.sum(b), 1e-9),
    r"\in": lambda a, b: a in b,
    r"\ni": lambda a, b: b in a,
    r"\subseteq": lambda a, b: a <= b,
    r"\supseteq": lambda a, b: a >= b,
}
