"""What an experiment is: a configuration, independent runs, and the series of numbers that they give."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Task = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Series:
    """One number that several runs measure.

    Attributes:
        key: Its name among a run's values.
        description: How it is measured, in a line.
        row: The ledger row that it answers; None for context.
        exact: Its theoretical value or bound, where there is one.
        overlap: Test samples for each training sample if runs are folds of one data set; 0 if independent.
        up_to: If the row is an "up to": keys of all readings of it, ``key`` among them; else empty.
    """

    key: str
    description: str
    row: str | None = None
    exact: float | None = None
    overlap: float = 0.0
    up_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """An experiment, known by name to the command line.

    Attributes:
        name: Its key in ``EXPERIMENTS``.
        folder: Its folder in this package, and below the folder of results.
        title: One line.
        paper: Whose numbers it is about.
        unit: Of every series.
        full: The configuration that is reported.
        quick: A small one of seconds, for tests.
        tasks: Configuration to the runs by name, each giving some series a value.
        series: All series.
        hours: What it takes, if that is hours; `run all` then leaves it out. Empty otherwise.
        timed: Whether it measures time, so that its runs must not disturb each other.
        former: Digest of the configuration of stored results that are to be made again; else empty.
    """

    name: str
    folder: str
    title: str
    paper: str
    unit: str
    full: Any
    quick: Any
    tasks: Callable[[Any], Mapping[str, Task]]
    series: tuple[Series, ...]
    hours: str = ""
    timed: bool = False
    former: str = ""

    def digest(self, config: Any) -> str:
        """Ten hexadecimal digits that identify experiment and configuration."""
        text = json.dumps([self.name, asdict(config)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]
