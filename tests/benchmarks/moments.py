"""Cost of one source's gradient moments, as a ratio to one plain forward and backward pass of its losses.

Run as ``python -m tests.benchmarks.moments``. One thread, process CPU time, estimators interleaved round by
round. Memory is the peak of live tensors above that of the plain pass, as a multiple of the parameters.
Results are kept under results/ with date and versions.
"""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients import Grouped, ModalityPartition, MomentEstimator, PerRow, PerSample, Streaming
from bogc.models.encoders import series_encoder, vector_encoder
from bogc.models.resnet import ResNet18
from bogc.training.memory import peak_bytes
from tests.benchmarks.rounds import Ratio, Work, as_json, keep, prepare, ratios

BATCH = 64
CLASSES = 10
CHUNK = 8  # of vmap
WARMUP = 7  # steps, so that streaming moments have left their own warm-up


class Problem(NamedTuple):
    """A network on a batch, and how many rounds for all and for those that make a pass a sample."""

    network: nn.Module
    x: Tensor
    rounds: int
    slow_rounds: int


class Cost(NamedTuple):
    """CPU time as a ratio, and peak memory above the plain pass over the size of the parameters."""

    time: Ratio
    memory: float


def perceptron() -> nn.Module:
    """1.0 million parameters in three layers."""
    return nn.Sequential(
        nn.Linear(784, 700), nn.ReLU(), nn.Linear(700, 600), nn.ReLU(), nn.Linear(600, CLASSES)
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "MLP, 1.0 M": lambda: Problem(perceptron(), torch.randn(BATCH, 784), 41, 3),
    "MLP with BatchNorm, 1.0 M": lambda: Problem(
        nn.Sequential(vector_encoder(240, 600), nn.Linear(600, CLASSES)), torch.randn(BATCH, 240), 41, 3
    ),
    "Conv1d with BatchNorm, 0.4 M": lambda: Problem(
        nn.Sequential(series_encoder(3, 256), nn.Linear(256, CLASSES)), torch.randn(BATCH, 3, 200), 15, 2
    ),
    "ResNet-18 on 3 x 64 x 64": lambda: Problem(
        nn.Sequential(ResNet18(3), nn.Linear(512, CLASSES)), torch.randn(BATCH, 3, 64, 64), 7, 1
    ),
}
ESTIMATORS: dict[str, MomentEstimator] = {
    "streaming": Streaming(),
    "per-row": PerRow(),
    "grouped (4)": Grouped(4),
    "per-sample": PerSample(),
}
SLOW = ("per-sample", "vmap(grad)")


def plain(network: nn.Module, x: Tensor, targets: Tensor) -> Sequence[Tensor]:
    """The gradient of the mean loss and nothing else."""
    return torch.autograd.grad(functional.cross_entropy(network(x), targets), list(network.parameters()))


def estimating(estimator: MomentEstimator, network: nn.Module, x: Tensor, targets: Tensor) -> Work:
    """Forward pass and estimate; states go on from call to call."""
    partition = ModalityPartition({"a": network})
    estimator.attach(partition)
    states = {}

    def work() -> None:
        losses = functional.cross_entropy(network(x), targets, reduction="none")
        states["a"] = estimator.estimate({"a": losses}, partition.blocks, states)["a"].state

    for _ in range(WARMUP if isinstance(estimator, Streaming) else 0):
        work()
    return work


def mapped(network: nn.Module, x: Tensor, targets: Tensor) -> Work:
    """vmap(grad) in chunks, and the two moments of what it returns."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def loss(values: dict[str, Tensor], row: Tensor, target: Tensor) -> Tensor:
        logits = torch.func.functional_call(network, values, (row.unsqueeze(0),))
        return functional.cross_entropy(logits, target.unsqueeze(0))

    rows = torch.func.vmap(torch.func.grad(loss), (None, 0, 0), chunk_size=CHUNK)

    def work() -> list[Tensor]:
        gradients = rows(parameters, x, targets).values()
        return [moment for g in gradients for moment in (g.mean(0), g.var(0))]

    return work


def measure(problem: Problem) -> dict[str, Cost | None]:
    """Cost of each estimator; None where it does not run."""
    network, x, rounds, slow_rounds = problem
    targets = torch.arange(BATCH) % CLASSES
    unwatched = copy.deepcopy(network)
    works: dict[str, Work] = {"plain": lambda: plain(unwatched, x, targets)}
    works |= {name: estimating(e, network, x, targets) for name, e in ESTIMATORS.items()}
    works["vmap(grad)"] = mapped(network, x, targets)
    refused = [name for name, work in works.items() if not runs(work)]
    for name in refused:
        del works[name]
    found = ratios(works, {name: slow_rounds if name in SLOW else rounds for name in works})
    parameters = list(network.parameters())
    size = sum(p.numel() * p.element_size() for p in parameters)
    peaks = {name: peak_bytes(work, parameters) for name, work in works.items()}
    costs: dict[str, Cost | None] = dict.fromkeys(refused)
    return {n: Cost(ratio, (peaks[n] - peaks["plain"]) / size) for n, ratio in found.items()} | costs


def runs(work: Work) -> bool:
    """Whether it runs at all: vmap refuses BatchNorm while training."""
    try:
        work()
    except RuntimeError:
        return False
    return True


def cells(cost: Cost) -> tuple[str, str, str]:
    """A line of the table."""
    return str(cost.time), f"{cost.time.of_least:.2f}", f"{cost.memory:.1f}"


def main() -> None:
    """Measure, print and keep."""
    prepare()
    console = Console()
    kept, panels = {}, {}
    for name, make in PROBLEMS.items():
        torch.manual_seed(0)
        costs = measure(make())
        table = Table(
            "estimator",
            "ratio to plain (range)",
            "of least times",
            "memory / parameters",
            title=f"{name}, batch {BATCH}",
        )
        for estimator, cost in costs.items():
            table.add_row(estimator, *(cells(cost) if cost else ("refuses", "", "")))
        console.print(table)
        panels[name] = {estimator: cost.time for estimator, cost in costs.items() if cost}
        kept[name] = as_json(panels[name])
        for estimator, cost in costs.items():
            if cost:
                kept[name][estimator]["memory"] = cost.memory
    keep("moments", kept, panels)


if __name__ == "__main__":
    main()
