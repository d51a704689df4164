"""Expectations and ranges that readings of displays share."""

from typing import Any

from theory.support.expectations import draws
from theory.values import Average, Each


def average(count: int, statistics: Any) -> Average:
    """Expectation over independent draws; ``statistics`` names what a sample gives."""
    weights, samples = zip(*draws(count), strict=True)
    return Average([statistics([float(x) for x in sample]) for sample in samples], weights)


def ones(last: int) -> Each:
    """Range from 1."""
    return Each(range(1, last + 1))
