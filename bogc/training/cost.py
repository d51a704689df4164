"""What a step costs: time against the plain sum of losses, memory, and an allocator that adds nothing."""

import ctypes
import math
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.errors import UnsuitableError
from bogc.training.config import TrainConfig
from bogc.training.state import TrainingState, train_step

TRIM_THRESHOLD: Final = -1  # numbers of parameters in glibc's malloc.h
MMAP_THRESHOLD: Final = -3
NEVER: Final = -1
LARGEST: Final = 32 * 2**20  # bytes; glibc takes no larger threshold on 64 bits


def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MiB for the next step, in this process, from now on.

    glibc returns large blocks to the system when they are freed, and the next step pays for every page of its
    gradients again, which can take longer than computing them. In exchange the process stays as large as it
    was at its peak, or a few blocks larger: an aligned block does not always fit where one like it has been.

    Returns:
        Whether the C library can; where it is not glibc, nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST)) and bool(mallopt(TRIM_THRESHOLD, NEVER))


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors while it is active, after each operation of torch.

    What several tensors share counts once. The workspace of a kernel and what the allocator rounds up or
    keeps are not seen, so that the number does not depend on the allocator or on what ran before.

    Attributes:
        now: Bytes alive.
        peak: The largest ``now`` so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._seen: weakref.WeakSet[UntypedStorage] = weakref.WeakSet()

    def count(self, tensors: Iterable[Tensor]) -> None:
        """Add storages that have not been; each is subtracted when torch frees it."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage not in self._seen:
                self._seen.add(storage)
                size = storage.nbytes()
                self.now += size
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, size)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        self.count(tensors_in(out))
        return out

    def _free(self, size: int) -> None:
        self.now -= size


def peak_bytes(work: Callable[[], object], held: Iterable[Tensor] = ()) -> int:
    """Largest number of bytes of tensors alive at once while ``work`` runs, ``held`` ones included.

    Costs some tens of microseconds an operation: not for a step that is timed.

    Args:
        work: Is called once; its result is dropped.
        held: Tensors that are there before, such as parameters; they are subtracted when ``work`` frees them.
    """
    counter = LiveBytes()
    counter.count(held)
    with counter:
        work()
    return counter.peak


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors of nested dicts, lists and tuples."""
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


REFERENCE: Final = "sum"
WARMUP: Final = 7  # steps; streaming moments have left their own warm-up by then
ROUNDS: Final = 9
SETTLED: Final = 3  # steps after which every method does all of its work


@dataclass(frozen=True)
class Cost:
    """Median over rounds.

    Attributes:
        ratio: To the reference's step in the same round.
        low: Least ratio of any round.
        high: Largest.
        milliseconds: CPU time of a step, or elapsed time on a GPU.
    """

    ratio: float
    low: float
    high: float
    milliseconds: float


def example(samples: Mapping[str, Tensor], classes: int = 7, size: int = 64) -> MultimodalDataset:
    """Make random data shaped like ``samples``, one batch of them."""
    generator = torch.Generator().manual_seed(0)
    inputs = {m: torch.randn(size, *s.shape, generator=generator) for m, s in samples.items()}
    return MultimodalDataset.from_tensors(inputs, torch.arange(size) % classes, "example")


def step_costs(
    data: MultimodalDataset,
    methods: Sequence[str],
    base: TrainConfig,
    rounds: int = ROUNDS,
    listen: Callable[[], None] = lambda: None,
) -> dict[str, Cost | UnsuitableError]:
    """Measure a whole training step (forward, backward, optimiser) of each method on one batch.

    Methods take turns within a round, so that a busy machine disturbs all alike.

    Args:
        data: One batch.
        methods: Names; the reference is added if it is missing.
        base: Network and optimiser.
        rounds: Steps measured for each method.
        listen: Called after each round.

    Returns:
        The costs; the error of a method that refuses this network.
    """
    made = {name: _stepper(data, replace(base, method=name)) for name in dict.fromkeys([REFERENCE, *methods])}
    steps = {name: step for name, step in made.items() if not isinstance(step, UnsuitableError)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(-WARMUP, rounds):
        for name, step in steps.items():
            spent = step()
            if number >= 0:
                seconds[name].append(spent)
        listen()
    costs = {name: _cost(values, seconds[REFERENCE]) for name, values in seconds.items()}
    refused = {name: error for name, error in made.items() if isinstance(error, UnsuitableError)}
    return {name: costs.get(name) or refused[name] for name in methods}


def training_seconds(data: MultimodalDataset, fits: Mapping[str, int], base: TrainConfig) -> float:
    """Estimate the seconds that training steps take, of one core or the GPU; validation and tests are extra.

    Args:
        data: The whole data set, of which a batch is used.
        fits: Number of fits by method; methods that refuse the network count nothing.
        base: Network, optimiser, folds and epochs.
    """
    batch = data.subset(torch.arange(min(base.batch_size, len(data)))).to(base.torch_device())
    samples = len(data) * (base.folds - 2) / base.folds
    steps = base.last_epoch * math.ceil(samples / base.batch_size)
    found, threads = 0.0, torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes of a comparison
    for method, count in fits.items():
        step = _stepper(batch, replace(base, method=method))
        if not isinstance(step, UnsuitableError):
            found += count * steps * min([step() for _ in range(SETTLED + 2)][SETTLED:])
    torch.set_num_threads(threads)
    return found


def _stepper(data: MultimodalDataset, config: TrainConfig) -> Callable[[], float] | UnsuitableError:
    """Return what takes one step and gives its seconds, or why the method refuses the network."""
    torch.manual_seed(config.seed)
    try:
        state = TrainingState.create(config, data, WARMUP)
    except UnsuitableError as error:
        return error
    batch = MultimodalBatch(data.inputs, data.targets)
    cuda = data.targets.device.type == "cuda"

    def step() -> float:
        clock = time.perf_counter if cuda else time.process_time
        if cuda:
            torch.cuda.synchronize()
        started = clock()
        train_step(state.model, batch, state.balancer, state.optimiser, config.bf16)
        if cuda:
            torch.cuda.synchronize()
        return clock() - started

    return step


def _cost(seconds: Sequence[float], reference: Sequence[float]) -> Cost:
    ratios = [own / other for own, other in zip(seconds, reference, strict=True)]
    return Cost(
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        milliseconds=1000 * statistics.median(seconds),
    )
