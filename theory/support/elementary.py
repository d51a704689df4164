"""Elementary functions for SymPy expressions, floats and arrays alike, and the formulas under check."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import sympy

from theory.chapters import FOLDER, load


class _Chapter:
    """Formulas of chapter 6, looked up when they are called, so that a mutant is seen."""

    def __getattr__(self, name: str) -> Any:
        return getattr(load(FOLDER / "06_siblings.py"), name)


six = _Chapter()


def exp(x: Any) -> Any:
    """Exponential."""
    return sympy.exp(x) if isinstance(x, sympy.Basic) else np.exp(x)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return sympy.log(x) if isinstance(x, sympy.Basic) else np.log(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return sympy.tanh(x) if isinstance(x, sympy.Basic) else np.tanh(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def together(*rows: Any) -> list[tuple[Any, ...]]:
    """Columns of equally long rows."""
    return list(zip(*rows, strict=True))


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """Inner product."""
    return sum(x * y for x, y in together(a, b))


def norm(a: Sequence[Any]) -> float:
    """Euclidean norm."""
    return math.sqrt(dot(a, a))


def states(n: int) -> list[np.ndarray]:
    """All binary vectors of n entries."""
    return [np.array(bits, dtype=float) for bits in product((0, 1), repeat=n)]


def bernoulli(bits: np.ndarray, p: np.ndarray) -> float:
    """Probability of independent bits that are 1 with probabilities p."""
    return float(np.prod(bits * p + (1 - bits) * (1 - p)))


def fills(x: np.ndarray, z: np.ndarray) -> tuple[list[Any], list[Any]]:
    """All pairs with x replaced, then all pairs with z replaced."""
    return [(s, z) for s in states(len(x))], [(x, s) for s in states(len(z))]


def largest(*errors: Any) -> float:
    """Largest of the numbers or arrays; NaN if any is NaN, which Python's max may drop."""
    return float(np.max([np.max(np.asarray(error)) for error in errors]))


def numeric_gradient(function: Any, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences; error about step^2 + 1e-16 / step."""
    return np.array([(function(at + e) - function(at - e)) / (2 * step) for e in step * np.eye(len(at))])


def vectors(values: Sequence[Any], n: int) -> Iterator[tuple[Any, ...]]:
    """All vectors of n entries out of ``values``."""
    return product(values, repeat=n)
