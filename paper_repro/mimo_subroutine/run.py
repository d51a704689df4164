"""The experiment: ratios of CPU times within one run, one thread."""

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Final

import torch

from bogc.training.config import TrainConfig
from bogc.training.cost import Cost, example, step_costs
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.mimo_subroutine.config import MimoTimeConfig
from paper_repro.mimo_subroutine.subroutines import BASELINES, DIRECTION, WEIGHTS, gradients, subroutines
from paper_repro.mimo_subroutine.timing import interleaved, ratio

ROW: Final = "mimo-several-mimo-against-moo-baselines"
READINGS: Final = (WEIGHTS, DIRECTION)
STEPS: Final = {
    "MGDA": "mgda",
    "CAGrad": "cagrad",
    "Nash-MTL": "nash-mtl",
    "PCGrad": "pcgrad",
    "UPGrad": "upgrad",
    "MMPareto": "mmpareto",
}


def tasks(config: MimoTimeConfig) -> Mapping[str, Task]:
    """One run a repetition."""
    return {f"repeat {number}": partial(run_repeat, config, number) for number in range(config.repeats)}


def run_repeat(config: MimoTimeConfig, number: int) -> dict[str, float]:
    """Time every subroutine at every size, and a whole step."""
    torch.manual_seed(number)  # PCGrad projects in a random order
    generator = torch.Generator().manual_seed(number)
    values: dict[str, float] = {}
    for size in config.sizes:
        values |= _at_size(config, size, generator)
    for reading in READINGS:
        values[largest(reading)] = max(values[key(reading, method, config.judged)] for method in BASELINES)
    return values | _whole_step(config)


def key(reading: str, method: str, size: int) -> str:
    """Name of a ratio: the time of ``method`` over that of MIMO."""
    return f"{method} / {reading}, D = {size}"


def milliseconds(method: str, size: int) -> str:
    """Name of a CPU time."""
    return f"{method}, D = {size}, ms"


def largest(reading: str) -> str:
    """Name of the largest ratio at the size that is judged."""
    return f"largest / {reading}"


def step(method: str) -> str:
    """Name of the ratio of whole steps."""
    return f"{method} / MIMO, whole step"


def _at_size(config: MimoTimeConfig, size: int, generator: torch.Generator) -> dict[str, float]:
    rows = gradients(config.sources, size, generator)
    losses = list(torch.rand(config.sources, generator=generator, dtype=torch.float32))
    seconds = interleaved(subroutines(rows, losses), config.rounds)
    ratios = {
        key(reading, method, size): ratio(seconds[method], seconds[reading])
        for reading in READINGS
        for method in BASELINES
    }
    return ratios | {
        milliseconds(method, size): 1000 * statistics.median(found) for method, found in seconds.items()
    }


def _whole_step(config: MimoTimeConfig) -> dict[str, float]:
    sample = torch.zeros(3, config.image, config.image, dtype=torch.float32)
    data = example({"first": sample, "second": sample}, classes=min(7, config.batch), size=config.batch)
    base = TrainConfig(features=config.features, device="cpu")
    costs = step_costs(data, ["mimo", *STEPS.values()], base, config.rounds)
    found = {name: cost.ratio for name, cost in costs.items() if isinstance(cost, Cost)}
    return {step(method): found[name] / found["mimo"] for method, name in STEPS.items()}


_FULL: Final = MimoTimeConfig()

EXPERIMENT = Experiment(
    name="mimo-subroutine",
    folder="mimo_subroutine",
    title="What MIMO saves: the subroutine between gradients and update",
    paper='arXiv 2511.06686, abstract: "up to ~20x reduction in subroutine computation time"',
    unit="ratio of CPU times, others over MIMO",
    full=_FULL,
    quick=MimoTimeConfig(sizes=(1000, 4000), judged=4000, rounds=1, repeats=1, image=8, batch=8, features=4),
    tasks=tasks,
    timed=True,
    series=(
        Series(
            largest(DIRECTION),
            f"largest over methods, D = {_FULL.judged:,}, if MIMO is charged with a weighted sum too",
            row=ROW,
            up_to=tuple(largest(reading) for reading in READINGS),
        ),
        Series(
            largest(WEIGHTS),
            f"largest over methods, D = {_FULL.judged:,}, if MIMO is charged with its weights only",
        ),
        *(Series(step(method), f"{method}: whole training step, small network") for method in BASELINES),
    ),
)
