"""What a step of each method costs, as a ratio to a step on the plain sum of losses in the same run."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.errors import UnsuitableError
from bogc.training.config import TrainConfig
from bogc.training.state import TrainingState
from bogc.training.step import train_step

REFERENCE: Final = "sum"
WARMUP: Final = 7  # steps; streaming moments have left their own warm-up by then
ROUNDS: Final = 9


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
