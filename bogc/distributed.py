"""Who works on a batch: this process alone, or several that hold parts of it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from bogc.errors import BogcError, ProcessError

P = ParamSpec("P")
T = TypeVar("T")
BUCKET = 4_000_000  # elements summed in one message: enough to be at full speed, little beside the gradients


class ProcessGroup(ABC):
    """Processes that call the same methods in the same order, each with a part of what is meant.

    Raises:
        ProcessError: From every method: a process died, or did not answer in the group's time.
    """

    size: int
    rank: int

    @abstractmethod
    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sum each tensor over the team; shapes, dtypes and order are the same everywhere. May reuse them."""

    @abstractmethod
    def gather(self, numbers: Sequence[int], like: Tensor) -> list[list[int]]:
        """Return the numbers of every process, by rank; as many in each. ``like`` is on the device used."""

    @abstractmethod
    def tell(self, value: Any) -> list[Any]:
        """Return the picklable value of every process, by rank."""

    @abstractmethod
    def from_first(self, value: T) -> T:
        """Return the picklable value of rank 0; what the others pass is ignored."""

    @abstractmethod
    def one_generator(self) -> Any:
        """Context in which all draw what rank 0 draws from the CPU's global generator.

        Rank 0's generator moves on as if it were alone; those of the others are left as they were.
        """


class SingleProcess(ProcessGroup):
    """One process."""

    size = 1
    rank = 0

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        return list(tensors)

    def gather(self, numbers: Sequence[int], like: Tensor) -> list[list[int]]:
        """See the base class."""
        return [list(numbers)]

    def tell(self, value: Any) -> list[Any]:
        """See the base class."""
        return [value]

    def from_first(self, value: T) -> T:
        """See the base class."""
        return value

    @contextmanager
    def one_generator(self) -> Iterator[None]:
        """See the base class."""
        yield


ANSWER_SECONDS = 3.0  # for others to fail too, once one has


def _silent() -> str:
    """Which processes have not come to this failure: the store through which all met outlives connections."""
    found = []
    try:
        store = dist.distributed_c10d._get_default_store()
        store.set(f"failed/{dist.get_rank()}", "yes")
        given_up = time.monotonic() + ANSWER_SECONDS
        for rank in range(dist.get_world_size()):
            left = max(given_up - time.monotonic(), 0.001)
            try:
                store.wait([f"failed/{rank}"], timedelta(seconds=left))
            except RuntimeError:
                found.append(str(rank))
    except (RuntimeError, ValueError):
        return "the process that the others met through, often 0"
    return f"process {', '.join(found)}" if found else "one or more"


def _reaching(call: Callable[P, T]) -> Callable[P, T]:
    """Turn the many errors of a collective call into one that says what happened."""

    @wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except RuntimeError as error:
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ProcessError(
                "process group",
                "must reach every process",
                f"no word from {_silent()} ({said})",
                "A process ended or stopped answering: see its own message, and start again from the "
                "last checkpoint.",
            ) from error

    return wrapped


@dataclass(frozen=True)
class DistributedProcesses(ProcessGroup):
    """The processes of a torch.distributed group; ``None`` is the default group."""

    group: Any = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of processes."""
        return dist.get_world_size(self.group)

    @property
    def rank(self) -> int:  # type: ignore[override]
        """Number of this process in the group, from 0."""
        return dist.get_rank(self.group)

    @_reaching
    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """See the base class; neighbours of one dtype travel in buckets."""
        summed: list[Tensor] = []
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat, group=self.group)
            parts = flat.split([tensor.numel() for tensor in bucket])
            summed += [part.view(tensor.shape) for part, tensor in zip(parts, bucket, strict=True)]
        return summed

    @_reaching
    def gather(self, numbers: Sequence[int], like: Tensor) -> list[list[int]]:
        """See the base class; on a GPU without a CPU backend in the group, this waits for the device."""
        device = "cpu" if "cpu:" in str(dist.get_backend_config(self.group)) else like.device
        own = torch.tensor(numbers, dtype=torch.int64, device=device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(every, own, group=self.group)
        found: list[list[int]] = torch.stack(every).tolist()
        return found

    @_reaching
    def tell(self, value: Any) -> list[Any]:
        """See the base class."""
        every: list[Any] = [None] * self.size
        dist.all_gather_object(every, value, group=self.group)
        return every

    @_reaching
    def from_first(self, value: T) -> T:
        """See the base class."""
        box = [value if self.rank == 0 else None]
        dist.broadcast_object_list(box, group=self.group, group_src=0)
        return box[0]  # type: ignore[return-value]

    @contextmanager
    def one_generator(self) -> Iterator[None]:
        """See the base class."""
        own = torch.get_rng_state()
        torch.set_rng_state(self.from_first(own))
        try:
            yield
        finally:
            if self.rank > 0:
                torch.set_rng_state(own)


def first_only(team: ProcessGroup, work: Callable[[], T]) -> T:
    """Do ``work`` in rank 0 alone, and return its value, or raise its error, in every process.

    Raises:
        BogcError: What ``work`` raised.
    """
    outcome: T | BogcError | None = None
    if team.rank == 0:
        try:
            outcome = work()
        except BogcError as error:
            outcome = error
    outcome = team.from_first(outcome)
    if isinstance(outcome, BogcError):
        raise outcome
    return outcome  # type: ignore[return-value]


def current_group() -> ProcessGroup:
    """Return the default process group of torch.distributed; this process alone if there is no other."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return DistributedProcesses()
    return SingleProcess()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Split into runs of one dtype of at most BUCKET elements, or one tensor if it is larger."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.numel() > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
