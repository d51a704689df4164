"""Independent pieces of work on a Dask cluster; an optional dependency.

joblib's own Dask backend is not used: it waits for ever once a worker has been killed more often than the
scheduler allows, or cannot import the work.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final, TypeVar
from uuid import uuid4

from bogc.errors import BogcError, ClusterError, RunError
from bogc.training.files import write_atomically

try:
    from distributed import Client, KilledWorker
    from distributed.client import FutureCancelledError
except ImportError:
    DISTRIBUTED = False
else:
    DISTRIBUTED = True

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_SECONDS: Final = 10.0
FIRST_SECONDS: Final = 30.0  # for the first worker to come
POLL_SECONDS: Final = 2.0
ALONE_SECONDS: Final = 60.0  # a cluster may be without workers for so long
SAME: Final = ("bogc", "torch")  # packages of which every worker must have our version


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
def connected(address: str) -> "Iterator[Client]":
    """Connect to a scheduler, and leave it in the end, which gives up what is not done.

    Raises:
        ClusterError: distributed is not installed, or no scheduler answers.
    """
    if not DISTRIBUTED:
        remedy = "Run pip install 'bogc[cluster]'."
        raise ClusterError("cluster", "needs Dask's distributed", "no such package", remedy)
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


def check_workers(client: "Client", shared: Path | None) -> None:
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
    token = shared.resolve() / f".shared-{uuid4().hex}"
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


def _workers(client: "Client") -> int:
    """How many there are; none if the scheduler does not answer."""
    try:
        return len(client.nthreads())
    except (OSError, TimeoutError):
        return 0


def _result(future: Any, name: str) -> Any:
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
