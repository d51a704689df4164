"""The processes that a launcher such as torchrun started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed as dist

from bogc.errors import ConfigError, ProcessError
from bogc.gradients import Alone, Processes, Team


@contextmanager
def launched(seconds: float) -> Iterator[Team]:
    """Join the process group that the environment describes; this process alone if it describes none.

    Args:
        seconds: How long to wait for another process, at the start and in each exchange.

    Raises:
        ProcessError: The others did not come.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
    except (RuntimeError, ValueError) as error:
        rule, remedy = (
            "must reach every process",
            "Check the launcher's address; start all.",
        )
        raise ProcessError("process group", rule, str(error).splitlines()[0], remedy) from error
    try:
        yield Processes()
    finally:
        dist.destroy_process_group()


def check_batch(smallest: int, team: Team) -> None:
    """Raise ConfigError unless a batch of ``smallest`` samples has one for each process."""
    if smallest < team.size:
        rule = f"must have a sample for each of {team.size} processes"
        raise ConfigError("batch_size", rule, smallest, "Use larger batches or fewer processes.")
