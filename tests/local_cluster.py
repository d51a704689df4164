"""A Dask cluster of processes on this machine, started as a user would, and stopped by process id."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bogc.training import spread as cluster_module
from bogc.training.spread import connected

ROOT = Path(__file__).parents[1]
SECONDS = 300


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
            **os.environ, **environment, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed)
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
        process.wait()

    def stop(self) -> None:
        """End what is left; the workers first."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def _start(self, kind: str, *options: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *options]
        with (self.folder / f"{kind}-{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=self.environment
            )
        self.processes.append(process)


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
