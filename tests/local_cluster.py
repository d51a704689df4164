"""A Dask cluster of processes on this machine: what a user's commands run, stopped by process id."""

import importlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bogc.training import spread as cluster_module
from bogc.training.spread import connected
from tests.processes import CONTEXT

SECONDS = 300
IDLE = {  # else a cluster that waits for work takes a tenth of a core
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
}


class LocalCluster:
    """A scheduler and workers, each its own process.

    Args:
        folder: For logs and temporary files.
        allowed: How many lost workers the scheduler allows a piece of work.
        environment: Variables of all processes, besides this one's.
    """

    def __init__(self, folder: Path, allowed: int, environment: dict[str, str]) -> None:
        self.folder, self.processes = folder, []
        self.environment = {
            **os.environ, **IDLE, **environment, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed)
        }  # fmt: skip
        self.file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--idle-timeout", "3600", "--scheduler-file", str(self.file))
        until(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]

    def add_workers(self, count: int, threads: int = 1) -> None:
        """Start workers without a nanny: once killed, they stay away."""
        for _ in range(count):
            options = (
                "--no-nanny",
                "--death-timeout",
                "60",
                "--nthreads",
                str(threads),
                "--local-directory",
                str(self.folder),
            )
            self._start("worker", self.address, *options)
        with connected(self.address) as client:
            client.wait_for_workers(count, timeout=SECONDS)

    def kill(self, pid: int) -> None:
        """As the kernel does when memory runs out."""
        process = next(process for process in self.processes if process.pid == pid)
        process.kill()
        process.join()

    def stop(self) -> None:
        """End what is left; the workers first."""
        for process in reversed(self.processes):
            process.kill()
            process.join()

    def _start(self, kind: str, *options: str) -> None:
        log = self.folder / f"{kind}-{len(self.processes)}.log"
        arguments = (kind, ["--no-dashboard", *options], log, self.environment)
        process = CONTEXT.Process(target=_run, args=arguments, daemon=True)
        process.start()
        self.processes.append(process)


def _run(kind: str, options: list[str], log: Path, environment: dict[str, str]) -> None:
    """What the command ``dask scheduler`` or ``dask worker`` does, once Python has imported it."""
    import dask

    file = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1), os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    dask.config.refresh()
    importlib.import_module(f"distributed.cli.dask_{kind}").main(options)


@contextmanager
def local_cluster(
    folder: Path, workers: int, allowed: int = 3, environment: dict[str, str] | None = None
) -> Iterator[LocalCluster]:
    pytest.importorskip("distributed", reason="the optional package distributed is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_module, "CONNECT_SECONDS", float(SECONDS))  # on a busy machine it answers late
        cluster = LocalCluster(folder, allowed, environment or {})
        try:
            if workers:
                cluster.add_workers(workers)
            yield cluster
        finally:
            cluster.stop()


def until(condition, seconds: float = SECONDS) -> None:
    """Wait for ``condition``."""
    given_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < given_up, "the cluster is not as it should be"
        time.sleep(0.05)
