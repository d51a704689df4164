"""Cost of a training step of every method, as a ratio to the plain sum.

Run as ``python -m tests.benchmarks.methods``.

One thread, process CPU time, methods interleaved round by round; median and range of the rounds' ratios.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bogc.methods.registry import METHODS
from bogc.training.config import TrainConfig
from bogc.training.cost import Cost, example, step_costs
from bogc.training.storage import versions, write_json
from tests.benchmarks.rounds import prepare

RESULTS = Path(__file__).parent / "results"
ROUNDS = 15
PROBLEMS = {
    "2 series, 49 k parameters": {m: torch.zeros(3, 200) for m in ("a", "b")},
    "2 images, 52 k parameters": {m: torch.zeros(3, 32, 32) for m in ("a", "b")},
    "6 vectors, 139 k parameters": {m: torch.zeros(100) for m in "abcdef"},
}


def main() -> None:
    """Measure, print and keep."""
    prepare()
    console = Console()
    table = Table("method", *PROBLEMS, title="Step, as a multiple of the plain sum's")
    measured = {}
    for problem, samples in PROBLEMS.items():
        with console.status(problem):
            costs = step_costs(example(samples), list(METHODS), TrainConfig(), ROUNDS)
        measured[problem] = {
            name: asdict(cost) if isinstance(cost, Cost) else None for name, cost in costs.items()
        }
    for name in METHODS:
        cells = [measured[problem][name] for problem in PROBLEMS]
        table.add_row(name, *(f"{cell['ratio']:.1f}" if cell else "not applicable" for cell in cells))
    console.print(table)
    kept = {"device": "cpu, 1 thread", "batch": 64, "results": measured, "versions": versions()}
    write_json(RESULTS / "methods.json", kept)
    console.print(f"Kept in {RESULTS / 'methods.json'}")


if __name__ == "__main__":
    main()
