"""Cost of one step of each method and moment estimator, as a ratio to a step on the plain sum.

Run as ``python -m tests.benchmarks.steps``. One thread, process CPU time, methods interleaved round by
round, so that a busy machine disturbs all alike; median and range of the rounds' ratios. The step is forward
pass and ``backward`` of the balancer, without the optimiser. Results are kept under results/ with date and
versions.
"""

import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bogc.balancing import BOGC, Balancer, JointTraining, UnimodalSum
from bogc.gradients import Grouped, ModalityPartition, PerRow, PerSample, Streaming
from bogc.models import MultimodalClassifier
from bogc.training import per_sample_losses
from bogc.training.files import write_json
from bogc.training.versions import versions
from tests.benchmarks.rounds import prepare

RESULTS = Path(__file__).parent / "results"
BATCH = 64
PROBLEMS: dict[str, tuple[dict[str, torch.Tensor], int, int]] = {
    "Conv1d with BatchNorm, 49 k parameters": (
        {m: torch.zeros(3, 200) for m in ("accelerometer", "gyroscope")},
        64,
        15,
    ),
    "Conv1d with BatchNorm, 760 k parameters": ({m: torch.zeros(3, 200) for m in ("a", "b")}, 256, 5),
    "MLP with BatchNorm, 1.3 M parameters": ({m: torch.zeros(240) for m in ("a", "b")}, 512, 9),
}
METHODS: dict[str, Callable[[ModalityPartition], Balancer]] = {
    "sum": UnimodalSum,
    "joint": JointTraining,
    "bogc, per row (default)": lambda partition: BOGC(partition, PerRow()),
    "bogc, streaming": lambda partition: BOGC(partition, Streaming()),
    "bogc, grouped (2)": lambda partition: BOGC(partition, Grouped(2)),
    "bogc, grouped (4)": lambda partition: BOGC(partition, Grouped(4)),
    "bogc, per sample": lambda partition: BOGC(partition, PerSample()),
}
WARMUP = 7  # steps, so that streaming moments have left their own warm-up


def measure(samples: dict[str, torch.Tensor], features: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU time a step, one value a round, for each method."""
    torch.manual_seed(0)
    model = MultimodalClassifier.for_samples(samples, 7, features)
    inputs = {m: torch.randn(BATCH, *sample.shape) for m, sample in samples.items()}
    targets = torch.randint(0, 7, (BATCH,))
    models = {name: copy.deepcopy(model) for name in METHODS}  # PerRow leaves hooks on its own
    balancers = {name: make(models[name].partition()) for name, make in METHODS.items()}

    def step(name: str) -> float:
        model, balancer = models[name], balancers[name]
        model.zero_grad()
        started = time.process_time()
        balancer.backward(per_sample_losses(model(inputs), targets))
        return time.process_time() - started

    for name in METHODS:
        for _ in range(1 if name == "bogc, per sample" else WARMUP):
            step(name)
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in track(range(rounds), description="rounds", transient=True):
        for name in METHODS:
            seconds[name].append(step(name))
    return seconds


def main() -> None:
    """Measure, print and keep."""
    prepare()
    console = Console()
    kept = {}
    for problem, (samples, features, rounds) in PROBLEMS.items():
        seconds = measure(samples, features, rounds)
        table = Table("method", "CPU ms (median)", "ratio to sum", "range", title=f"{problem}, batch {BATCH}")
        kept[problem] = {}
        for name, values in seconds.items():
            ratios = [a / b for a, b in zip(values, seconds["sum"], strict=True)]
            ratio, low, high = statistics.median(ratios), min(ratios), max(ratios)
            milliseconds = 1000 * statistics.median(values)
            kept[problem][name] = {"ratio": ratio, "low": low, "high": high, "milliseconds": milliseconds}
            table.add_row(name, f"{milliseconds:.1f}", f"{ratio:.2f}", f"{low:.2f} to {high:.2f}")
        console.print(table)
    write_json(RESULTS / "steps.json", {"device": "cpu, 1 thread", "results": kept, "versions": versions()})
    console.print(f"Kept in {RESULTS / 'steps.json'}")


if __name__ == "__main__":
    main()
