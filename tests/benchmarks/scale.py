"""How a step grows with parameters, modalities, layers and batch.

Run as ``python -m tests.benchmarks.scale``. One thread, process CPU time, methods interleaved round by round;
memory is the peak of live tensors. The step is forward pass and ``backward`` of the balancer. An exponent is
a slope on logarithmic axes: 1 is linear, and what a step costs at any size pulls it below.
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from bogc.balancing import BOGC, Balancer, UnimodalSum
from bogc.gradients import ModalityPartition, Streaming
from bogc.training.files import write_json
from bogc.training.memory import peak_bytes
from bogc.training.pictures import save_figure
from bogc.training.versions import versions
from tests.benchmarks.rounds import RESULTS, prepare

CLASSES, CODE = 10, 32
KEYS = ("milliseconds", "bytes")
WARMUP = 7  # steps, so that streaming moments have left their own warm-up
METHODS: dict[str, Callable[[ModalityPartition], Balancer]] = {
    "sum": UnimodalSum,
    "bogc": BOGC,
    "bogc, streaming": lambda partition: BOGC(partition, Streaming()),
}


class Size(NamedTuple):
    """A network of perceptrons, one a modality, and its batch."""

    parameters: float = 1e6
    modalities: int = 2
    layers: int = 2
    batch: int = 64

    @property
    def width(self) -> int:
        """Width of every layer but the last."""
        return round(math.sqrt(self.parameters / self.modalities / (self.layers - 1)))


SERIES: dict[str, tuple[list[Size], int]] = {
    "parameters": ([Size(parameters=p) for p in (1e5, 1e6, 1e7, 1e8)], 5),
    "modalities": ([Size(parameters=2e5 * m, modalities=m) for m in (2, 3, 4, 6, 8)], 9),
    "layers": ([Size(parameters=2e4 * n, layers=n) for n in (2, 4, 8, 16, 32)], 9),
    "batch": ([Size(batch=b) for b in (16, 32, 64, 128, 256, 512, 1024)], 9),
}


class Network(nn.Module):
    """Encoders, heads on their codes and one on all of them."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        names = [f"modality {m}" for m in range(size.modalities)]
        self.encoders = nn.ModuleDict({name: encoder(size) for name in names})
        self.heads = nn.ModuleDict({name: nn.Linear(CODE, CLASSES) for name in names})
        self.fused = nn.Linear(CODE * size.modalities, CLASSES)

    def losses(self, x: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Every modality sees the same numbers."""
        codes = {name: encode(x) for name, encode in self.encoders.items()}
        logits = {name: self.heads[name](code) for name, code in codes.items()}
        logits |= {"fusion": self.fused(torch.cat(list(codes.values()), 1))}
        return {s: functional.cross_entropy(z, targets, reduction="none") for s, z in logits.items()}

    def partition(self) -> ModalityPartition:
        """One modality an encoder."""
        owned = {name: (encode, self.heads[name]) for name, encode in self.encoders.items()}
        return ModalityPartition(owned, shared=self.fused)


def encoder(size: Size) -> nn.Module:
    """``layers`` layers: all but the last are square."""
    hidden = [m for _ in range(size.layers - 1) for m in (nn.Linear(size.width, size.width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(size.width, CODE))


def step_of(
    size: Size, make: Callable[[ModalityPartition], Balancer]
) -> tuple[Callable[[], None], nn.Module]:
    """A step on a network of its own."""
    torch.manual_seed(0)
    network = Network(size)
    balancer = make(network.partition())
    x, targets = torch.randn(size.batch, size.width), torch.arange(size.batch) % CLASSES

    def step() -> None:
        network.zero_grad()
        balancer.backward(network.losses(x, targets))

    for _ in range(WARMUP):
        step()
    return step, network


def measure(size: Size, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds and peak bytes of each method's step."""
    made = {name: step_of(size, make) for name, make in METHODS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, (step, _) in made.items():
            started = time.process_time()
            step()
            seconds[name].append(time.process_time() - started)
    found = {}
    for name, (step, network) in made.items():
        milliseconds = 1000 * statistics.median(seconds[name])
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds["sum"], strict=True))
        memory = float(peak_bytes(step, network.parameters()))
        found[name] = {"milliseconds": milliseconds, "ratio": ratio, "bytes": memory}
    return found


def exponent(sizes: list[float], values: list[float]) -> float:
    """Slope over the upper half of the sizes, where what does not grow weighs least."""
    middle = (len(sizes) - 1) // 2
    return math.log(values[-1] / values[middle]) / math.log(sizes[-1] / sizes[middle])


def draw(results: dict[str, Any]) -> None:
    """Time above, memory below."""
    figure = Figure(figsize=(3.4 * len(results), 6), layout="constrained")
    rows = figure.subplots(2, len(results), squeeze=False)
    for axes, (series, found) in zip(rows.T, results.items(), strict=True):
        for panel, key, unit, label in zip(axes, KEYS, (1, 2**20), ("CPU ms", "peak MiB"), strict=True):
            for method, marker in zip(METHODS, "os^", strict=True):
                values = [p[method][key] / unit for p in found["points"]]
                panel.plot(found["sizes"], values, f"-{marker}", label=method)
            panel.set(xscale="log", yscale="log", xlabel=series, ylabel=label)
            panel.set_xticks(found["sizes"], [f"{size:g}" for size in found["sizes"]])
            panel.minorticks_off()
            panel.grid(alpha=0.3)
    rows[0][0].legend(fontsize="small")
    save_figure(RESULTS, "scale", figure)


def main() -> None:
    """Measure, print, draw and keep."""
    prepare()
    console, results = Console(), {}
    for series, (sizes, rounds) in SERIES.items():
        axis = [float(getattr(size, series)) for size in sizes]
        points = [measure(s, rounds) for s in track(sizes, description=series, transient=True)]
        table = Table("method", *(f"{a:g}" for a in axis), "exponent", title=f"CPU ms a step, by {series}")
        slopes: dict[str, dict[str, float]] = {}
        for method in METHODS:
            times, peaks = ([p[method][key] for p in points] for key in KEYS)
            slopes[method] = {"time": exponent(axis, times), "memory": exponent(axis, peaks)}
            table.add_row(method, *(f"{t:.1f}" for t in times), f"{slopes[method]['time']:.2f}")
        console.print(table)
        results[series] = {"sizes": axis, "points": points, "exponents": slopes}
    draw(results)
    kept = {"device": "cpu, 1 thread", "results": results, "versions": versions()}
    write_json(RESULTS / "scale.json", kept)


if __name__ == "__main__":
    main()
