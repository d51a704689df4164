"""Random numbers that depend on the configuration alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def batch_order(samples: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Return the batches of an epoch, a function of seed and epoch alone: resuming needs no generator.

    A last incomplete batch is left out, unless it is the only one: batch statistics of a few samples are
    noise, and the order differs each epoch.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    batches = torch.randperm(samples, generator=generator).split(batch_size)
    complete = [batch for batch in batches if len(batch) == batch_size]
    return complete or list(batches)


def own_part(batch: Tensor, rank: int, processes: int) -> Tensor:
    """The part of a batch that one of several processes takes: neighbours, sizes differing by one at most.

    The batches are the same however many processes there are, and so is the order of samples within one.
    """
    return batch.tensor_split(processes)[rank]


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed torch's global generator and ask for deterministic algorithms; both are restored on leaving."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def rng_state() -> dict[str, list[Tensor]]:
    """State of the global generators, CPU and CUDA."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": [torch.get_rng_state()], "cuda": cuda}


def set_rng_state(state: dict[str, list[Tensor]]) -> None:
    """Inverse of rng_state, on a machine with as many GPUs."""
    torch.set_rng_state(state["cpu"][0])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
