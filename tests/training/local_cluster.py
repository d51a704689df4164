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

ROOT = Path(__file__).parents[2]
SECONDS = 60
QUIET = ("--no-dashboard",)


class LocalCluster:
    """A scheduler and workers, each its own process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, {}
        self.file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        until(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]

    def add_worker(self, name: str, *options: str, cwd: Path = ROOT) -> None:
        """Start a worker without a nanny: once killed, it stays away."""
        threads = () if "--nthreads" in options else ("--nthreads", "1")
        self._start("worker", self.address, "--no-nanny", "--name", name, *threads, *options, cwd=cwd)

    def kill(self, name: str) -> None:
        """As the kernel does when memory runs out."""
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self) -> None:
        """End what is left; the workers first."""
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()

    def _start(self, kind: str, *options: str, cwd: Path = ROOT) -> None:
        name = options[options.index("--name") + 1] if "--name" in options else kind
        log = (self.folder / f"{name}.log").open("w")
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *QUIET, *options]
        if kind == "worker":
            command += ["--local-directory", str(self.folder)]
        environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        self.processes[name] = subprocess.Popen(
            command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        log.close()


@contextmanager
def local_cluster(folder: Path, workers: int = 2) -> Iterator[LocalCluster]:
    pytest.importorskip("distributed", reason="the optional package distributed is not installed")
    cluster = LocalCluster(folder)
    try:
        for number in range(workers):
            cluster.add_worker(f"worker-{number}")
        yield cluster
    finally:
        cluster.stop()


def until(condition, seconds: float = SECONDS) -> None:
    """Wait for ``condition``."""
    given_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < given_up, "the cluster is not as it should be"
        time.sleep(0.05)
