"""Independent pieces of work, spread over local processes by joblib or over a Dask cluster."""

import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import torch
from joblib import Parallel, delayed

from bogc.checks import check_number
from bogc.errors import BogcError, ConfigError, RunError
from bogc.training.allocator import keep_freed_memory
from bogc.training.cluster import on_cluster

Item = TypeVar("Item")
Result = TypeVar("Result")

DEATHS: Final = 3  # killed processes that are made good for, as many as Dask allows a piece of work
CLUSTER_HELP: Final = (
    "Address of a Dask scheduler, such as tcp://host:8786, whose workers take the place of local processes; "
    "docs/cluster.md says what they need."
)
_TURN: Final = threading.Lock()


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        jobs: Local processes; 0: one a core.
        cluster: Address of a Dask scheduler, such as ``tcp://host:8786``; empty: local processes.

    Raises:
        RangeError: ``jobs`` is negative.
        ConfigError: Both are given.
    """

    jobs: int = 0
    cluster: str = ""

    def __post_init__(self) -> None:
        check_number("jobs", self.jobs, self.jobs >= 0, "must not be negative", "Use 0 for one a core.")
        if self.jobs and self.cluster:
            rule = "must be left out with a cluster, whose workers are its own"
            raise ConfigError("jobs", rule, self.jobs, "Start as many workers as are wanted.")

    @property
    def processes(self) -> int:
        """Local processes at a time."""
        return self.jobs or default_jobs()


def default_jobs() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Item], Result], items: Mapping[str, Item], workers: Workers, shared: Path | None = None
) -> Iterator[tuple[str, Result]]:
    """Yield name and result of ``work(item)`` for each item, as they are done.

    Each process works on one item at a time and computes with one thread, so that results do not depend on
    ``workers``. What a killed process was working on is begun again by another, a few times.

    Args:
        work: A function of a module, or a partial of one.
        items: What to work on, by the name that errors give it.
        workers: Who does it; one local process is this one.
        shared: Folder that ``work`` writes to, which every worker of a cluster must see.

    Raises:
        BogcError: Of an item, as ``work`` raised it, with its name; the others are given up.
        RunError: Anything else that an item raised, or its process was killed again and again.
        ClusterError: The cluster cannot be reached or used, or was lost.
    """
    if not items:
        return
    if workers.cluster:
        yield from on_cluster(partial(attempt, work), items, workers.cluster, shared)
    else:
        yield from _on_processes(partial(attempt, work), items, workers.processes)


def attempt(work: Callable[[Item], Result], name: str, item: Item) -> Result:
    """Do one piece of work; its error names it.

    The pieces that the threads of one process are given take turns: they would share torch's generator.

    Raises:
        BogcError: As ``work`` raised it, with the name.
        RunError: ``work`` raised anything else.
    """
    with _TURN:
        torch.set_num_threads(1)
        keep_freed_memory()
        try:
            return work(item)
        except BogcError as error:
            place = f"run {name}: {error.parameter}"
            raise type(error)(place, error.rule, error.found, error.remedy) from error
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            found = f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno}, in {frame.name})"
            remedy = "Mend that and give the same command again: finished runs are kept."
            raise RunError(f"run {name}", "must finish", found, remedy) from error


def _on_processes(
    function: Callable[[str, Item], Result], items: Mapping[str, Item], processes: int
) -> Iterator[tuple[str, Result]]:
    left = dict(items)
    for death in range(DEATHS + 1):
        parallel = Parallel(n_jobs=min(processes, len(left)), return_as="generator_unordered", batch_size=1)
        calls = [delayed(_named)(function, name, item) for name, item in left.items()]
        try:
            for name, result in parallel(calls):
                del left[name]
                yield name, result
        except BrokenProcessPool as error:
            if death == DEATHS:
                raise _killed(list(left), processes) from error
        else:
            return


def _named(function: Callable[[str, Item], Result], name: str, item: Item) -> tuple[str, Result]:
    return name, function(name, item)


def _killed(left: list[str], processes: int) -> RunError:
    """Say which runs may be to blame: joblib starts them in order."""
    rule = f"must not be killed; a process was, {DEATHS + 1} times"
    remedy = "Look for a lack of memory and use fewer --jobs; the same command keeps what is finished."
    return RunError("a run", rule, f"one of {', '.join(left[:processes])}", remedy)
