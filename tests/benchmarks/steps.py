"""Cost of whole training steps: bogc beside the plain sum, separate passes and a peer.

Run as ``python -m tests.benchmarks.steps``. One thread, CPU time, contestants interleaved round by round.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from tests.benchmarks.contestants import CONTESTANTS, step
from tests.benchmarks.networks import PROBLEMS
from tests.benchmarks.rounds import Ratio, as_json, keep, prepare, ratios

ROUNDS: Final = 7
FEW: Final = 3
"""Rounds of networks that take seconds."""
WARM_UP: Final = 4
MEASURED_MEMORY: Final = ("torchjd UPGrad", "bogc")


def memory(problem: str, contestant: str, steps: int = 5) -> int:
    """Peak resident bytes of a process that takes steps, less that of one that only makes the network."""
    sizes = []
    for count in (0, steps):
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.benchmarks.steps",
            problem,
            contestant,
            str(count),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        sizes.append(int(done.stdout))
    return sizes[1] - sizes[0]


def one(problem: str, contestant: str, steps: int) -> None:
    """Take steps, and print this process' peak resident bytes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, batch = PROBLEMS[problem]
    work = step(make(batch), contestant)
    for _ in range(steps):
        work()
    print(peak())


def peak() -> int:
    """Most resident bytes of this program; getrusage would count those of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def measure(problem: str) -> tuple[dict[str, Ratio], dict[str, Any]]:
    """Ratios of time, and memory over that of the parameters."""
    make, batch = PROBLEMS[problem]
    works = {}
    for contestant in CONTESTANTS:
        torch.manual_seed(0)
        works[contestant] = step(make(batch), contestant)
    for work in works.values():
        for _ in range(WARM_UP):
            work()
    rounds = FEW if "ResNet" in problem else ROUNDS
    found = ratios(works, dict.fromkeys(works, rounds))
    parameters = 4 * sum(p.numel() for p in make(batch).network.parameters())
    few = parameters < 4 * 10**7  # others take minutes
    peaks = {name: memory(problem, name) / parameters for name in MEASURED_MEMORY if few}
    return found, peaks


def main() -> None:
    """Measure, print and keep."""
    if len(sys.argv) > 1:
        one(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        return
    prepare()
    console, panels, kept = Console(), {}, {}
    table = Table("network", *CONTESTANTS, title="CPU time of a step, as a multiple of the plain sum's")
    peaks = Table("network", *MEASURED_MEMORY, title="Peak memory of steps over that of the parameters")
    for problem in PROBLEMS:
        if "Hugging Face" in problem and find_spec("transformers") is None:
            console.print(f"{problem}: left out, transformers is not installed")
            continue
        panels[problem], memories = measure(problem)
        kept[problem] = {"time": as_json(panels[problem]), "memory": memories}
        table.add_row(problem, *(f"{panels[problem][name].ratio:.2f}" for name in CONTESTANTS))
        if memories:
            peaks.add_row(problem, *(f"{memories[name]:.1f}" for name in MEASURED_MEMORY))
    console.print(table)
    console.print(peaks)
    keep("steps", kept, panels)


if __name__ == "__main__":
    main()
