"""CPU time of functions that take turns, so that a busy machine disturbs all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

Clock = Callable[[], float]
LEAST: Final = 0.005  # seconds: thousands of times the resolution of the clock


def seconds_per_call(function: Callable[[], object], clock: Clock = time.process_time) -> float:
    """Call it 1, 2, 4, ... times until that takes ``LEAST`` seconds; CPU seconds of one call."""
    calls = 1
    while True:
        start = clock()
        for _ in range(calls):
            function()
        spent = clock() - start
        if spent >= LEAST:
            return spent / calls
        calls *= 2


def interleaved(
    functions: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.process_time
) -> dict[str, list[float]]:
    """Seconds of each function in each round, after one call of each that does not count.

    Every round begins with another function.
    """
    for function in functions.values():
        function()
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(seconds_per_call(functions[name], clock))
    return seconds


def ratio(own: list[float], reference: list[float]) -> float:
    """Median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(own, reference, strict=True))
