"""Cost of the separate gradients of M losses, as a ratio to the gradient of their sum.

Run as ``python -m tests.benchmarks.gradients``. Forward pass included; one thread, process CPU time,
contestants interleaved round by round. Results are kept under results/ with date and versions.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from bogc.balancing import MMPareto
from bogc.balancing.jacobian_descent import TORCHJD, JacobianDescentSettings
from bogc.balancing.source_jacobian import source_jacobians
from bogc.gradients import FUSION, ModalityPartition, Streaming
from bogc.models import MultimodalClassifier
from bogc.training import per_sample_losses
from tests.benchmarks.rounds import Ratio, Work, as_json, keep, prepare, ratios

BATCH = 64
CLASSES = 10
WARMUP = 7  # steps, so that streaming moments have left their own warm-up
Losses = dict[str, Tensor]


class Problem(NamedTuple):
    """A partition, and how its losses are computed."""

    partition: ModalityPartition
    losses: Callable[[], Losses]
    rounds: int


def multimodal(samples: dict[str, Tensor], features: int, rounds: int) -> Problem:
    """Two encoders, each under the fusion's loss and its own."""
    model = MultimodalClassifier.for_samples(samples, CLASSES, features)
    inputs = {m: torch.randn(BATCH, *sample.shape) for m, sample in samples.items()}
    targets = torch.arange(BATCH) % CLASSES
    return Problem(model.partition(), lambda: per_sample_losses(model(inputs), targets), rounds)


def disjoint(rounds: int) -> Problem:
    """Three sources with rows of their own, each in a call of its own of one encoder of 1.0 M parameters."""
    trunk = nn.Sequential(nn.Linear(784, 700), nn.ReLU(), nn.Linear(700, 600), nn.ReLU())
    heads = {source: nn.Linear(600, CLASSES) for source in (FUSION, "a", "b")}
    rows = {source: torch.randn(BATCH, 784) for source in heads}
    targets = torch.arange(BATCH) % CLASSES
    partition = ModalityPartition({"a": heads["a"], "b": heads["b"]}, shared=(trunk, heads[FUSION]))

    def losses() -> Losses:
        return {
            source: functional.cross_entropy(head(trunk(rows[source])), targets, reduction="none")
            for source, head in heads.items()
        }

    return Problem(partition, losses, rounds)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "two sources on each encoder, MLP with BatchNorm, 1.3 M": lambda: multimodal(
        {m: torch.zeros(240) for m in ("a", "b")}, 512, 21
    ),
    "two sources on each encoder, Conv1d with BatchNorm, 0.2 M": lambda: multimodal(
        {m: torch.zeros(3, 200) for m in ("a", "b")}, 128, 15
    ),
    "three sources with rows of their own, MLP, 1.0 M": lambda: disjoint(21),
}


def summed(problem: Problem) -> Work:
    """The gradient of the sum of the mean losses."""

    def work() -> object:
        total = torch.stack([loss.mean() for loss in problem.losses().values()]).sum()
        return torch.autograd.grad(total, problem.partition.parameters, allow_unused=True)

    return work


def apart(problem: Problem) -> Work:
    """Plain autograd, once a loss, over all parameters."""

    def work() -> object:
        return [
            torch.autograd.grad(
                loss.mean(), problem.partition.parameters, retain_graph=True, allow_unused=True
            )
            for loss in problem.losses().values()
        ]

    return work


def stacked(problem: Problem) -> Work:
    """All losses in one vectorised pass: a cotangent has one row a source."""

    def work() -> object:
        means = torch.stack([loss.mean() for loss in problem.losses().values()])
        rows = torch.eye(len(means))
        return torch.autograd.grad(
            means, problem.partition.parameters, rows, allow_unused=True, is_grads_batched=True
        )

    return work


def streaming(problem: Problem) -> Work:
    """Separate gradients with running moments; states go on from call to call."""
    estimator, states = Streaming(), {}

    def work() -> None:
        estimates = estimator.estimate(problem.losses(), problem.partition.blocks, states)
        states.update({source: estimate.state for source, estimate in estimates.items()})

    for _ in range(WARMUP):
        work()
    return work


def contestants(problem: Problem) -> dict[str, Work]:
    """The first is the reference."""
    pareto = MMPareto(problem.partition)
    works: dict[str, Work] = {
        "gradient of the sum": summed(problem),
        "source_jacobians": lambda: source_jacobians(problem.losses(), problem.partition),
        "streaming moments": streaming(problem),
        "M backward passes": apart(problem),
        "stacked cotangents": stacked(problem),
        "MMPareto": lambda: pareto.backward(problem.losses()),
    }
    if TORCHJD:
        upgrad = JacobianDescentSettings().build(problem.partition, "upgrad")
        works["torchjd UPGrad"] = lambda: upgrad.backward(problem.losses())
    return works


def main() -> None:
    """Measure, print and keep."""
    prepare()
    console = Console()
    kept: dict[str, dict[str, dict[str, float]]] = {}
    panels: dict[str, dict[str, Ratio]] = {}
    for name, make in PROBLEMS.items():
        torch.manual_seed(0)
        problem = make()
        works = contestants(problem)
        panels[name] = ratios(works, dict.fromkeys(works, problem.rounds))
        table = Table("what", "ratio (range)", "of least times", title=f"{name}, batch {BATCH} a source")
        for contestant, ratio in panels[name].items():
            table.add_row(contestant, str(ratio), f"{ratio.of_least:.2f}")
        console.print(table)
        kept[name] = as_json(panels[name])
    keep("gradients", kept, panels)


if __name__ == "__main__":
    main()
