import math

import pytest

from theory.registry import How, check
from theory.run import run


@pytest.mark.parametrize(
    ("value", "tolerance", "passed"),
    [(0.0, 0.0, True), (1e-9, 1e-8, True), (-1e-7, 1e-8, False), (math.nan, 1.0, False)],
)
def test_passes_within_the_tolerance_only(value: float, tolerance: float, passed: bool):
    outcome = run(check("1.1", how=How.PROPERTY, tolerance=tolerance)(lambda: value))
    assert outcome.passed is passed


def test_an_exception_is_a_failure_with_its_reason():
    outcome = run(check("1.1", how=How.PROPERTY, tolerance=9.0)(lambda: 1 / 0))
    assert not outcome.passed
    assert outcome.reason == "ZeroDivisionError: division by zero"
