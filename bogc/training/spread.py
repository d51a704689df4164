"""Who does the work: processes that a launcher started, local ones, or a Dask cluster."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final, TypeVar
from uuid import uuid4

import torch
from torch import distributed as dist

from bogc.checks import check_number
from bogc.distributed import DistributedProcesses, ProcessGroup, SingleProcess
from bogc.errors import BogcError, ClusterError, ConfigError, ProcessError, RunError
from bogc.training.cost import keep_freed_memory
from bogc.training.storage import write_atomically

Item = TypeVar("Item")
Result = TypeVar("Result")

DEATHS: Final = 3  # killed processes that are made good for, as many as Dask allows a piece of work
CLUSTER_HELP: Final = (
    "Address of a Dask scheduler, such as tcp://host:8786, whose workers take the place of local processes; "
    "docs/cluster.md says what they need."
)
CONNECT_SECONDS: Final = 10.0
FIRST_SECONDS: Final = 30.0  # for the first worker to come
POLL_SECONDS: Final = 2.0
PARENT_SECONDS: Final = 0.5
LONGEST_WAIT: Final = 1e6  # seconds; torch counts them in nanoseconds
ALONE_SECONDS: Final = 60.0  # a cluster may be without workers for so long
SAME: Final = ("bogc", "torch")  # packages of which every worker must have our version
_TURN: Final = threading.Lock()


@contextmanager
def launched(seconds: float) -> Iterator[ProcessGroup]:
    """Join the process group that the environment describes; this process alone if it describes none.

    Args:
        seconds: How long to wait for another process, at the start and in each exchange.

    Raises:
        RangeError: ``seconds`` is no time to wait.
        ProcessError: The others did not come.
    """
    valid = 0 < seconds <= LONGEST_WAIT
    check_number("wait", seconds, valid, f"must be positive, at most {LONGEST_WAIT:g} s", "Use 600.")
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SingleProcess()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
    except (RuntimeError, ValueError) as error:
        rule, remedy = "must reach every process", "Check the launcher's address; start all."
        raise ProcessError("process group", rule, str(error).splitlines()[0], remedy) from error
    try:
        yield DistributedProcesses()
    finally:
        dist.destroy_process_group()


def check_batch(smallest: int, team: ProcessGroup) -> None:
    """Raise ConfigError unless a batch of ``smallest`` samples has one for each process."""
    if smallest < team.size:
        rule = f"must have a sample for each of {team.size} processes"
        raise ConfigError("batch_size", rule, smallest, "Use larger batches or fewer processes.")


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
    from joblib import Parallel, delayed  # slow to import

    left = dict(items)
    for death in range(DEATHS + 1):
        parallel = Parallel(n_jobs=min(processes, len(left)), return_as="generator_unordered", batch_size=1)
        calls = [delayed(_named)(function, os.getpid(), name, item) for name, item in left.items()]
        try:
            for name, result in parallel(calls):
                del left[name]
                yield name, result
        except BrokenProcessPool as error:
            if death == DEATHS:
                raise _killed(list(left), processes) from error
        else:
            return


def _named(function: Callable[[str, Item], Result], parent: int, name: str, item: Item) -> tuple[str, Result]:
    if os.getpid() != parent:
        _end_with(parent)
    return name, function(name, item)


@lru_cache
def _end_with(parent: int) -> None:
    """See to it that this process ends when ``parent``, which started it, does, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)  # what is half-written is swept at the next start

    threading.Thread(target=watch, daemon=True).start()


def _killed(left: list[str], processes: int) -> RunError:
    """Say which runs may be to blame: joblib starts them in order."""
    rule = f"must not be killed; a process was, {DEATHS + 1} times"
    remedy = "Look for a lack of memory and use fewer --jobs; the same command keeps what is finished."
    return RunError("a run", rule, f"one of {', '.join(left[:processes])}", remedy)


def on_cluster(
    function: Callable[[str, Item], Result], items: Mapping[str, Item], address: str, shared: Path | None
) -> Iterator[tuple[str, Result]]:
    """Yield name and result of ``function(name, item)`` for each item, as they are done.

    The scheduler gives what a lost worker was doing to another; results that have arrived stay.

    Args:
        function: A function of a module that the workers can import, or a partial of one.
        items: What to work on, by name.
        address: Of a Dask scheduler.
        shared: Folder that every worker must see; None if none is needed.

    Raises:
        ClusterError: The scheduler does not answer in a few seconds, a worker is unfit, or all are lost.
        RunError: An item's worker was lost again and again, or cannot import the function.
        BogcError: As ``function`` raised it.
    """
    with connected(address) as client:
        check_workers(client, shared)
        futures = {
            client.submit(function, name, item, key=f"{name}-{uuid4().hex}", pure=False): name
            for name, item in items.items()
        }
        for future in _as_done(futures, partial(_workers, client)):
            yield futures[future], _result(future, futures[future])


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler, and leave it in the end, which gives up what is not done.

    Raises:
        ClusterError: distributed is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client  # an optional dependency, and slow to import
    except ImportError:
        remedy = "Run pip install 'bogc[cluster]'."
        raise ClusterError("cluster", "needs Dask's distributed", "no such package", remedy) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # nobody there; not an address
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        rule = f"must be the address of a Dask scheduler that answers within {CONNECT_SECONDS:g} s"
        remedy = "Start one with `dask scheduler` and name the tcp:// address that it prints."
        raise ClusterError("cluster", rule, f"{address!r} ({reason})", remedy) from None
    try:
        yield client
    finally:
        client.close()


def check_workers(client: Any, shared: Path | None) -> None:
    """Check every worker that is there now.

    Raises:
        ClusterError: There is none, or one has several threads, other versions or no view of ``shared``.
    """
    try:
        client.wait_for_workers(1, timeout=FIRST_SECONDS)
    except TimeoutError:
        rule, remedy = "must have a worker", "Start some with `dask worker ADDRESS --nthreads 1`."
        raise ClusterError("cluster", rule, f"none within {FIRST_SECONDS:g} s", remedy) from None
    several = {worker: threads for worker, threads in client.nthreads().items() if threads > 1}
    if several:
        rule, remedy = "must have workers of one thread", "Start each with --nthreads 1, as many as cores."
        raise ClusterError("cluster", rule, _some(several), remedy)
    with _token(shared) as token:
        found = client.run(examine, token, on_error="return")
    failed = {worker: answer for worker, answer in found.items() if isinstance(answer, BaseException)}
    if failed:
        remedy = "Install this version of bogc where the workers run."
        raise ClusterError("cluster", "must have workers that can import bogc", _some(failed), remedy)
    own = {name: version(name) for name in SAME}
    other = {worker: answer["versions"] for worker, answer in found.items() if answer["versions"] != own}
    if other:
        remedy = "Install the same there: results may differ between versions."
        raise ClusterError("cluster", f"must have workers with {own}", _some(other), remedy)
    blind = {worker: "does not see it" for worker, answer in found.items() if not answer["sees"]}
    if blind:
        rule = f"must have workers that share the folder {shared}"
        raise ClusterError("cluster", rule, _some(blind), "Put --out on a file system that all mount there.")


def examine(token: str) -> dict[str, Any]:
    """What a worker says of itself; runs there."""
    return {"versions": {name: version(name) for name in SAME}, "sees": not token or Path(token).exists()}


@contextmanager
def _token(shared: Path | None) -> Iterator[str]:
    """Put a file into the folder for as long as it is looked for; the empty name if there is no folder."""
    if shared is None:
        yield ""
        return
    token = shared.resolve() / f".shared.{uuid4().hex}"
    write_atomically(token, lambda file: file.write(b""))
    try:
        yield str(token)
    finally:
        token.unlink(missing_ok=True)


def _as_done(futures: Iterable[Any], workers: Callable[[], int]) -> Iterator[Any]:
    """Yield futures as they are done, while there are workers to wait for.

    Raises:
        ClusterError: There has been no worker, or no scheduler, for ``ALONE_SECONDS``.
    """
    done: Queue[Any] = Queue()
    left, seen = 0, time.monotonic()
    for future in futures:
        future.add_done_callback(done.put)
        left += 1
    while left:
        try:
            yield done.get(timeout=POLL_SECONDS)
        except Empty:
            seen = time.monotonic() if workers() else seen
        else:
            left, seen = left - 1, time.monotonic()
        if time.monotonic() - seen > ALONE_SECONDS:
            rule = "must keep a worker until all runs are done"
            found = f"none for {ALONE_SECONDS:g} s, {left} runs to go"
            remedy = "Start workers and give the same command again: finished runs are kept."
            raise ClusterError("cluster", rule, found, remedy)


def _workers(client: Any) -> int:
    """How many there are; none if the scheduler does not answer."""
    try:
        return len(client.nthreads())
    except (OSError, TimeoutError):
        return 0


def _result(future: Any, name: str) -> Any:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    remedy = "Look at the workers' logs and memory, and give the same command again: finished runs are kept."
    try:
        return future.result()
    except BogcError:
        raise
    except KilledWorker as error:
        raise RunError(f"run {name}", "must not lose its worker again and again", error, remedy) from None
    except FutureCancelledError as error:
        raise ClusterError("cluster", f"must stay up; it was lost during run {name}", error, remedy) from None
    except Exception as error:  # of the cluster: what the work raises is a BogcError
        origin: BaseException = error
        while origin.__cause__ is not None:
            origin = origin.__cause__
        found = f"{type(origin).__name__}: {origin}"
        raise RunError(f"run {name}", "must be carried out by a worker", found, remedy) from error


def _some(found: Mapping[str, object]) -> str:
    """The first of the workers and what is said of them."""
    shown = [f"{worker}: {said}" for worker, said in list(found.items())[:3]]
    return "; ".join(shown) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
