"""Part ``steps``: time and peak memory of whole training steps, as multiples of the plain sum's."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from typing import Final

import torch

from bogc import BOGC
from tests.benchmarks.contestants import CONTESTANTS
from tests.benchmarks.networks import PROBLEMS, Problem
from tests.gpu.machine import Machine, Work
from tests.gpu.problems import RESNETS, on, resnets
from tests.gpu.records import Row, in_words

BATCHES: Final = (64, 128, 256, 512)
COMPILED: Final = "bogc, compiled"
WARM_UP: Final = 7
"""Steps; the first ones are the plain sum, and a compiled step is compiled by then."""
ROUNDS: Final = 9
IN_A_ROW: Final = 3
"""Steps of one contestant before it is the next one's turn."""


def _compiled(problem: Problem) -> Work:
    balancer = BOGC(problem.network.partition(), compiled=True)
    return lambda: balancer.backward(problem.losses())


MEASURED: Final[Mapping[str, Callable[[Problem], Work]]] = {
    **{name: CONTESTANTS[name] for name in ("plain sum", "separate passes", "torchjd UPGrad", "bogc")},
    COMPILED: _compiled,
}
"""Name -> a problem's step without the optimiser; the first is the reference."""


def rows(machine: Machine) -> dict[str, Callable[[], Row]]:
    """One row a network."""
    made: dict[str, Callable[[], Problem]] = {
        RESNETS.replace("batch 16", f"batch {batch}"): partial(resnets, batch) for batch in BATCHES
    }
    made |= {name: partial(make, batch) for name, (make, batch) in PROBLEMS.items()}
    if machine.dry:
        name = next(iter(PROBLEMS))
        made = {name.replace("batch 64", "batch 8"): partial(PROBLEMS[name][0], 8)}
    return {name: partial(measured, machine, name, make) for name, make in made.items()}


def measured(machine: Machine, name: str, make: Callable[[], Problem]) -> Row:
    """Time and memory of every contestant that can take part."""
    if "Hugging Face" in name and find_spec("transformers") is None:
        return {"left out": "transformers not installed"}
    found: dict[str, Row] = {}
    with compiling(machine):
        works = dict(_prepared(machine, make, found))
        times = _timed(machine, works)
    reference = times.get(next(iter(MEASURED)))
    for contestant, own in times.items():
        found[contestant] |= compared(own, reference)
    return {"contestants": found}


@contextmanager
def compiling(machine: Machine) -> Iterator[None]:
    """Room to compile anew for each network; a dry run compiles nothing."""
    torch.compiler.reset()  # after some recompilations torch would no longer compile
    with torch.compiler.set_stance("force_eager") if machine.dry else nullcontext():
        yield


def _prepared(
    machine: Machine, make: Callable[[], Problem], found: dict[str, Row]
) -> Iterator[tuple[str, Work]]:
    """Yield warm works, and write into ``found`` what memory each takes, or why it takes no part."""
    for contestant, of in MEASURED.items():
        if "torchjd" in contestant and find_spec("torchjd") is None:
            found[contestant] = {"left out": "torchjd not installed"}
            continue
        before = machine.allocated()
        try:
            torch.manual_seed(0)
            work = whole(on(machine.device, make()), of)
            for _ in range(WARM_UP):
                work()
            peak = machine.peak(work)
        except Exception as error:  # one that runs out of memory, or cannot be compiled here
            found[contestant] = {"failed": in_words(error)}
            machine.clear()
            continue
        found[contestant] = {"peak_bytes": None if peak is None else peak - before}
        yield contestant, work


def whole(problem: Problem, of: Callable[[Problem], Work]) -> Work:
    """A step with SGD and momentum."""
    optimiser = torch.optim.SGD(problem.network.parameters(), lr=1e-3, momentum=0.9)
    work = of(problem)

    def step() -> None:
        optimiser.zero_grad()
        work()
        optimiser.step()

    return step


def _timed(machine: Machine, works: Mapping[str, Work]) -> dict[str, list[float]]:
    """Milliseconds of a step in each round, contestants taking turns."""
    rounds, times = (2, 1) if machine.dry else (ROUNDS, IN_A_ROW)
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(machine.milliseconds(work, times))
    return found


def compared(own: list[float], reference: list[float] | None) -> Row:
    """Medians over rounds; no ratio where the reference itself could not run."""
    row: Row = {"milliseconds": statistics.median(own)}
    if reference is not None:
        ratios = [time / max(base, 1e-6) for time, base in zip(own, reference, strict=True)]
        row |= {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    return row
