import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.mimo_subroutine.timing import LEAST, interleaved, ratio, seconds_per_call

COST = st.floats(1e-7, 1.0)


class Machine:
    """A clock that only runs while one of its functions does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slowness = 1.0
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now

    def function(self, name: str, cost: float):
        def call() -> None:
            self.calls.append(name)
            self.now += cost * self.slowness

        return call


@given(st.floats(1e-5, 1.0))
def test_seconds_of_one_call_from_enough_of_them(cost: float):
    machine = Machine()
    assert seconds_per_call(machine.function("f", cost), machine.clock) == pytest.approx(cost, rel=1e-6)
    assert machine.now >= LEAST


@given(st.lists(st.floats(1e-4, 0.1), min_size=2, max_size=4), st.integers(1, 5))
def test_every_round_has_every_function_and_begins_with_another(costs: list[float], rounds: int):
    machine = Machine()
    functions = {str(i): machine.function(str(i), cost) for i, cost in enumerate(costs)}
    seconds = interleaved(functions, rounds, machine.clock)
    for name, cost in zip(functions, costs, strict=True):
        assert seconds[name] == pytest.approx([cost] * rounds)
    order = [name for name, _ in itertools.groupby(machine.calls)]
    turns = order[: len(costs)]
    assert turns == list(functions)  # warm-up


def test_a_machine_that_slows_down_between_rounds_leaves_the_ratio():
    machine = Machine()
    slow, fast = machine.function("slow", 0.3), machine.function("fast", 0.1)
    seconds = {"slow": [], "fast": []}
    for slowness in (1.0, 10.0, 3.0):
        machine.slowness = slowness
        for name, found in interleaved({"slow": slow, "fast": fast}, 1, machine.clock).items():
            seconds[name] += found
    assert ratio(seconds["slow"], seconds["fast"]) == pytest.approx(3)


def test_one_disturbed_round_does_not_move_the_ratio():
    assert ratio([3.0, 300.0, 3.0], [1.0, 1.0, 1.0]) == 3
