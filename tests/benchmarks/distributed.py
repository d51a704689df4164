"""Cost of a step in two processes, as a ratio to one of plain DistributedDataParallel.

Run as ``python -m tests.benchmarks.distributed``. Two processes of one thread each talk over gloo. A step is
forward pass, backward pass and reduction of gradients, without the optimiser; each process takes half of the
batch. Methods take turns within a round. Time is CPU time of the first process, as in the other benchmarks,
so waiting for the other process does not count but the work of exchanging does; elapsed time is kept beside
it, and means something on two idle cores only. ``alone`` is the same step on the same half of the batch
without any exchange, so that the cost of the reduction itself can be read off.
"""

import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from bogc.distributed import SingleProcess
from bogc.gradients import ModalityPartition
from bogc.methods import BOGC, MIMO, Balancer, UnimodalSum
from bogc.models import MultimodalClassifier
from bogc.training import keep_freed_memory, per_sample_losses
from bogc.training.storage import versions, write_json
from tests.processes import together

RESULTS = Path(__file__).parent / "results"
BATCH = 128
WARMUP = 7
PROBLEMS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "2 series, Conv1d with BatchNorm, 49 k parameters": ((3, 200), 64, 25),
    "2 series, Conv1d with BatchNorm, 760 k parameters": ((3, 200), 256, 9),
    "2 vectors, MLP with BatchNorm, 1.3 M parameters": ((240,), 512, 15),
}
METHODS: dict[str, Callable[[ModalityPartition], Balancer]] = {
    "sum": UnimodalSum,
    "mimo": MIMO,
    "bogc": BOGC,
}
Times = dict[str, list[tuple[float, float]]]


def measure(rank: int, size: int, shape: tuple[int, ...], features: int, rounds: int) -> Times:
    """CPU and elapsed seconds of a step, one pair a round, for each method."""
    torch.set_default_dtype(torch.float32)
    keep_freed_memory()
    torch.manual_seed(0)
    samples = {m: torch.zeros(*shape) for m in ("a", "b")}
    model = MultimodalClassifier.for_samples(samples, 7, features)
    wrapped = DistributedDataParallel(model)
    torch.manual_seed(rank)
    inputs = {m: torch.randn(BATCH // size, *shape) for m in samples}
    targets = torch.randint(0, 7, (BATCH // size,))

    def plain() -> None:
        model.zero_grad()
        losses = per_sample_losses(wrapped(inputs), targets)
        torch.stack([loss.mean() for loss in losses.values()]).sum().backward()

    steps: dict[str, Callable[[], object]] = {"DistributedDataParallel": plain}
    for name, make in METHODS.items():
        own, other = copy.deepcopy(model), copy.deepcopy(model)
        steps[name] = _step(make(own.partition()), own, inputs, targets)
        alone = make(other.partition())
        alone.share_with(SingleProcess())
        steps[f"{name}, alone"] = _step(alone, other, inputs, targets)
    seconds: Times = {name: [] for name in steps}
    for number in range(-WARMUP, rounds):
        for name, step in steps.items():
            torch.distributed.barrier()
            started = time.process_time(), time.perf_counter()
            step()
            if number >= 0:
                seconds[name].append((time.process_time() - started[0], time.perf_counter() - started[1]))
    return seconds


def _step(
    balancer: Balancer, model: MultimodalClassifier, inputs: dict[str, Tensor], targets: Tensor
) -> Callable[[], object]:
    def step() -> None:
        model.zero_grad()
        balancer.backward(per_sample_losses(model(inputs), targets))

    return step


def peak_memory(rank: int, size: int, way: str) -> float:
    """Peak bytes of AdamW steps over those of the parameters; ``way``: DDP, replicated or sharded."""
    torch.set_default_dtype(torch.float32)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    samples = {m: torch.zeros(240) for m in ("a", "b")}
    model = MultimodalClassifier.for_samples(samples, 7, 2048)
    parameters = sum(p.numel() * p.element_size() for p in model.parameters())
    if way == "sharded":
        for encoder in model.encoders.values():
            fully_shard(encoder)
        fully_shard(model)
    called = DistributedDataParallel(model) if way == "DDP" else model
    optimiser = torch.optim.AdamW(model.parameters(), foreach=False)
    balancer = None if way == "DDP" else BOGC(model.partition())
    inputs, targets = {m: torch.randn(8, 240) for m in samples}, torch.arange(8) % 7
    for _ in range(6):
        optimiser.zero_grad()
        losses = per_sample_losses(called(inputs), targets)
        if balancer is None:
            torch.stack([loss.mean() for loss in losses.values()]).sum().backward()
        else:
            balancer.backward(losses)
        optimiser.step()
    return (_resident("VmHWM") - before) / parameters


def _resident(kind: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition(f"{kind}:")[2].split()[0])


def memories() -> dict[str, float]:
    """Largest of any process, by way and number of processes."""
    found = {}
    for way, size in (("DDP, plain sum", 2), ("replicated", 2), ("sharded", 2), ("sharded", 4)):
        with TemporaryDirectory() as folder:
            found[f"{way}, {size}"] = max(together(peak_memory, size, Path(folder), way.partition(",")[0]))
    return found


def summarise(seconds: Times) -> dict[str, dict[str, float]]:
    """Median and range of the rounds' ratios to DistributedDataParallel."""
    reference = seconds["DistributedDataParallel"]
    found = {}
    for name, values in seconds.items():
        ratios = [own[0] / other[0] for own, other in zip(values, reference, strict=True)]
        elapsed = [own[1] / other[1] for own, other in zip(values, reference, strict=True)]
        found[name] = {
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
            "milliseconds": 1000 * statistics.median(own for own, _ in values),
            "elapsed_ratio": statistics.median(elapsed),
        }
    return found


def main() -> None:
    """Measure, print and keep."""
    console = Console()
    memory = memories()
    for way, times in memory.items():
        console.print(f"peak memory of a process over that of the parameters: {way} processes {times:.1f}")
    kept: dict[str, Any] = {"memory": memory}
    for problem, (shape, features, rounds) in PROBLEMS.items():
        with TemporaryDirectory() as folder, console.status(problem):
            seconds, _ = together(measure, 2, Path(folder), shape, features, rounds)
        kept[problem] = summarise(seconds)
        table = Table("step", "CPU ms (median)", "ratio to DDP", "range", "elapsed ratio")
        table.title = f"{problem}, batch {BATCH} over two processes"
        for name, line in kept[problem].items():
            cells = (f"{line['milliseconds']:.1f}", f"{line['ratio']:.2f}")
            span = f"{line['low']:.2f} to {line['high']:.2f}"
            table.add_row(name, *cells, span, f"{line['elapsed_ratio']:.2f}")
        console.print(table)
    device = "cpu, 2 processes of 1 thread, gloo"
    write_json(RESULTS / "distributed.json", {"device": device, "results": kept, "versions": versions()})
    console.print(f"Kept in {RESULTS / 'distributed.json'}")


if __name__ == "__main__":
    main()
