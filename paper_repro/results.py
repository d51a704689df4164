"""Runs that are carried out once and kept: read, completed several at a time, written atomically."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bogc.errors import DataError, StateError
from bogc.training.spread import Workers, spread
from bogc.training.storage import versions, write_json
from paper_repro.experiment import Experiment, Task
from paper_repro.hardware import processor

FILE: Final = "results.json"
HERE: Final = Workers(jobs=1)


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        values: Series to its value.
        seconds: Wall time.
        date: Day on which it finished, UTC.
        hardware: Processor and GPU.
        versions: Of Python and packages.
    """

    values: dict[str, float]
    seconds: float
    date: str
    hardware: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Results:
    """All finished runs of one configuration.

    Attributes:
        experiment: Its name.
        config: Its settings.
        config_hash: Digest of both.
        runs: Name of the run to the run.
    """

    experiment: str
    config: dict[str, Any]
    config_hash: str
    runs: dict[str, Run]

    def values_of(self, key: str) -> dict[str, float]:
        """Name of the run to its value, for the runs that have series ``key``."""
        return {name: run.values[key] for name, run in self.runs.items() if key in run.values}


def read_results(path: Path) -> Results | None:
    """Read a file of results; None if there is none yet.

    Raises:
        DataError: The file is not one that this program writes.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        runs = {name: Run(**run) for name, run in found.pop("runs").items()}
        return Results(runs=runs, **found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = "Delete it; its runs are then carried out again."
        raise DataError(str(path), "must be a file of results", f"{error!r}", remedy) from error


def carry_out(
    experiment: Experiment,
    config: Any,
    path: Path,
    listen: Callable[[str, Run], None] = lambda name, run: None,
    workers: Workers = HERE,
) -> Results:
    """Carry out the runs that ``path`` lacks, one thread each, writing the file anew after every one.

    Which runs there are, their values and their order in the file do not depend on ``workers``. This process
    alone writes the file. An experiment that measures time runs here, one run after another.

    Args:
        experiment: What to run.
        config: Its settings.
        path: File of results; need not exist.
        listen: Told of each run that was carried out.
        workers: Who carries them out.

    Raises:
        StateError: The file holds results of another experiment or configuration.
        DataError: See :func:`read_results`.
        BogcError: See :func:`bogc.training.spread.spread`; the runs that are finished are kept.
    """
    digest = experiment.digest(config)
    plain = json.loads(json.dumps(asdict(config)))
    results = read_results(path) or Results(experiment.name, plain, digest, {})
    if (results.experiment, results.config_hash) != (experiment.name, digest):
        rule = f"must hold results of {experiment.name}, configuration {digest}"
        found = f"{results.experiment}, configuration {results.config_hash}"
        raise StateError(str(path), rule, found, "Choose another --folder, or delete the file.")
    tasks = experiment.tasks(config)
    pending = {name: task for name, task in tasks.items() if name not in results.runs}
    for name, run in spread(_timed, pending, HERE if experiment.timed else workers):
        runs = {**results.runs, name: run}
        ordered = {known: runs.pop(known) for known in tasks if known in runs}
        results = replace(results, runs=ordered | runs)
        write_json(path, asdict(results))
        listen(name, run)
    return results


def _timed(task: Task) -> Run:
    start = time.perf_counter()
    return finished(task(), time.perf_counter() - start)


def finished(values: dict[str, float], seconds: float) -> Run:
    """Say when and with what these values were made."""
    made_with = versions()
    date, gpu, machine = (made_with.pop(name) for name in ("date", "gpu", "machine"))
    hardware = f"{processor()} ({machine}), GPU {gpu}"
    return Run(values, round(seconds, 2), date, hardware, made_with)
