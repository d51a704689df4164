"""Real processes that talk over gloo, for tests: forked from a server that has imported what they need."""

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "bogc.cli",
        "sklearn.model_selection",
        "torch._inductor",
        "distributed.cli.dask_scheduler",
        "distributed.cli.dask_worker",
        "tests.processes",
    ]
)
SECONDS = 900  # a busy machine is slow; nothing here takes so long by itself


@contextmanager
def group(rank: int, size: int, folder: Path, seconds: float = SECONDS) -> Iterator[None]:
    """A gloo group that meets at a file in ``folder``."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", store, timedelta(seconds=seconds), size, rank)
    try:
        yield
    finally:
        dist.destroy_process_group()


def start(work: Callable[..., Any], size: int, folder: Path, *arguments: Any, seconds: float = SECONDS):
    """Start ``work(rank, size, *arguments)`` in a group of ``size`` processes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [
        CONTEXT.Process(target=_run, args=(work, rank, size, folder, seconds, arguments), daemon=True)
        for rank in range(size)
    ]
    for process in made:
        process.start()
    return made


def finish(processes: list, folder: Path, only: tuple[int, ...] | None = None) -> list[Any]:
    """Wait, and return what each process returned, or its error; of ``only`` some if they are named."""
    ranks = range(len(processes)) if only is None else only
    for rank in ranks:
        processes[rank].join(SECONDS)
        if processes[rank].is_alive():
            processes[rank].kill()
            raise TimeoutError(f"process {rank} hangs")
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in ranks]


def together(work: Callable[..., Any], size: int, folder: Path, *arguments: Any) -> list[Any]:
    """Run ``work`` in ``size`` processes; what each returned, by rank. The first error is raised here."""
    found = finish(start(work, size, folder, *arguments), folder)
    for value in found:
        if isinstance(value, BaseException):
            raise value
    return found


def _run(work: Callable[..., Any], rank: int, size: int, folder: Path, seconds: float, arguments: tuple):
    try:
        with group(rank, size, folder, seconds):
            value = work(rank, size, *arguments)
    except BaseException as error:
        value = error
    temporary = folder / f".{rank}.pickle"
    temporary.write_bytes(pickle.dumps(value))
    temporary.rename(folder / f"{rank}.pickle")


def printed(code: str) -> str:
    """What ``code`` prints in a process without the type checks of the tests; the trace of its error last."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_print, args=(code, sender), daemon=True)
    process.start()
    sender.close()
    text = receiver.recv()
    process.join()
    return text


def _print(code: str, found: Connection) -> None:
    with redirect_stdout(StringIO()) as text:
        try:
            exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})
        except Exception:
            traceback.print_exc(file=text)
    found.send(text.getvalue())
