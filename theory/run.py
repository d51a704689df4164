"""Running checks."""

import time
import traceback
from dataclasses import dataclass

from theory.registry import Check


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        check: The check.
        error: Largest error; infinite if the check raised.
        seconds: Wall time.
        reason: Last line of the exception, or "".
    """

    check: Check
    error: float
    seconds: float
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is a number within the tolerance."""
        return self.error <= self.check.tolerance


def run(check: Check) -> Outcome:
    """Run one check; an exception is a failure, not a crash."""
    started = time.perf_counter()
    try:
        error, reason = abs(float(check.run())), ""
    except Exception:  # whatever a check raises is its result
        error, reason = float("inf"), traceback.format_exc().strip().splitlines()[-1]
    return Outcome(check, error, time.perf_counter() - started, reason)
