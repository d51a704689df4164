"""Cost of a step of the two readings beside the plain sum, by draws and by where the closure starts.

Run as ``python -m tests.benchmarks.readings``. One thread, CPU time, contestants interleaved round by round.
How loaded the machine was is in the result.
"""

import os
from collections.abc import Callable
from typing import Final

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy

from bogc import BOGC
from bogc.training.storage import versions, write_json
from tests.benchmarks.networks import PROBLEMS, Problem, TwoModal
from tests.benchmarks.rounds import RESULTS, Ratio, Work, as_json, prepare, ratios

NETWORKS: Final = ("Conv1d with BatchNorm, 49 k, batch 64", "MLP with BatchNorm, 1.3 M, batch 64")
DRAWS: Final = (4, 8, 16)
ROUNDS: Final = 7


def from_features(problem: Problem) -> Callable[[], dict[str, Tensor]]:
    """A closure whose encoders run once a step; what it evaluates again starts at their features."""
    network = problem.network
    assert isinstance(network, TwoModal)
    first, second = (
        encoder(x) for encoder, x in zip((network.first, network.second), problem.inputs, strict=True)
    )

    def closure() -> dict[str, Tensor]:
        fused = network.fused(torch.cat([first, second], 1))
        logits = {"fusion": fused, "first": network.first_head(first), "second": network.second_head(second)}
        return {s: cross_entropy(z, problem.targets, reduction="none") for s, z in logits.items()}

    return closure


def contestants(make: Callable[[], Problem]) -> dict[str, Work]:
    """Gradients of a step by name, the plain sum first; each on a network of its own."""

    def plain() -> Work:
        problem = make()
        return lambda: torch.stack([loss.mean() for loss in problem.losses().values()]).sum().backward()

    def conjugate() -> Work:
        problem = make()
        balancer = BOGC.reading("conjugate", problem.network.partition())
        return lambda: balancer.backward(problem.losses())

    def laplace(draws: int, cached: bool) -> Work:
        problem = make()
        balancer = BOGC.reading("laplace", problem.network.partition(), draws=draws)
        if cached:
            return lambda: balancer.backward(from_features(problem))
        return lambda: balancer.backward(problem.losses)

    found = {"plain sum": plain(), "conjugate": conjugate()}
    for draws in DRAWS:
        found[f"laplace, {draws} draws, whole network"] = laplace(draws, False)
        found[f"laplace, {draws} draws, from features"] = laplace(draws, True)
    return found


def main() -> None:
    """Measure, print and keep."""
    prepare()
    console, before = Console(), os.getloadavg()
    panels: dict[str, dict[str, Ratio]] = {}
    for name in NETWORKS:
        make, batch = PROBLEMS[name]

        def made(make: Callable[[int], Problem] = make, batch: int = batch) -> Problem:
            torch.manual_seed(0)
            return make(batch)

        works = contestants(made)
        for work in works.values():
            for _ in range(4):
                work()
        panels[name] = ratios(works, dict.fromkeys(works, ROUNDS))
        table = Table("contestant", "CPU time / plain sum's", "ms", title=name)
        for contestant, ratio in panels[name].items():
            table.add_row(contestant, str(ratio), f"{ratio.milliseconds:.1f}")
        console.print(table)
    load = {"cores": os.cpu_count(), "load before": before, "load after": os.getloadavg()}
    kept = {name: as_json(found) for name, found in panels.items()}
    content = {"device": "cpu, 1 thread", "machine": load, "results": kept, "versions": versions()}
    write_json(RESULTS / "readings.json", content)


if __name__ == "__main__":
    main()
