"""Where a random search looks for a setting: distributions by their quantile functions.

A quantile function turns one column of a stratified sample of [0, 1) into values, so the same row of the
sample means the same learning rate for every method.
"""

import math
from dataclasses import dataclass
from typing import Any

from bogc.checks import check_number


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high)

    def at(self, q: float) -> float:
        """Value at quantile ``q`` in [0, 1), to four significant digits, so that a table can show it.

        Raises:
            RangeError: ``q`` is outside.
        """
        _check_quantile(q)
        return float(f"{self.low + q * (self.high - self.low):.4g}")

    def describe(self) -> str:
        """Say it in a few words."""
        return f"uniform on {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """A positive number whose logarithm is uniform on [log low, log high)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        check_number("low", self.low, self.low > 0, "must be positive", "Its logarithm is sampled.")
        _check_bounds(self.low, self.high)

    def at(self, q: float) -> float:
        """Value at quantile ``q`` in [0, 1), to four significant digits, so that a table can show it.

        Raises:
            RangeError: ``q`` is outside.
        """
        _check_quantile(q)
        return float(f"{self.low * (self.high / self.low) ** q:.4g}")

    def describe(self) -> str:
        """Say it in a few words."""
        return f"log-uniform on {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """Each of the options with the same probability."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        count = len(self.options)
        check_number("options", count, count > 0, "must hold at least one", "Name what to choose from.")

    def at(self, q: float) -> Any:
        """Option at quantile ``q`` in [0, 1).

        Raises:
            RangeError: ``q`` is outside.
        """
        _check_quantile(q)
        return self.options[int(q * len(self.options))]

    def describe(self) -> str:
        """Say it in a few words."""
        return f"one of {', '.join(map(str, self.options))}"


Distribution = Uniform | LogUniform | Choice


def _check_quantile(q: float) -> None:
    check_number("q", q, 0 <= q < 1, "must lie in [0, 1)", "Pass a quantile.")


def _check_bounds(low: float, high: float) -> None:
    finite = math.isfinite(low) and math.isfinite(high)
    check_number("high", high, finite and low < high, f"must be finite and above low = {low}", "Swap them.")
