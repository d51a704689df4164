"""Exact expectations over a small discrete law, by enumeration of all outcomes in rationals."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

LAW = ((Fraction(2, 7), Fraction(3)), (Fraction(5, 7), Fraction(-4, 3)))
MEAN = sum((p * x for p, x in LAW), Fraction())
VARIANCE = sum((p * (x - MEAN) ** 2 for p, x in LAW), Fraction())


def draws(count: int) -> Iterator[tuple[Fraction, list[Fraction]]]:
    """Yield (probability, sample) of ``count`` independent draws of the skewed two-point LAW."""
    for outcome in itertools.product(LAW, repeat=count):
        probability = Fraction(1)
        for p, _ in outcome:
            probability *= p
        yield probability, [value for _, value in outcome]


def expectation(statistic: Callable[[list[Fraction]], Any], count: int) -> Any:
    """Return the exact mean of ``statistic`` over all outcomes of ``count`` draws."""
    return sum((p * statistic(sample) for p, sample in draws(count)), Fraction())
