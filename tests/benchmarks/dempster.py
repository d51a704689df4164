"""Cost of Dempster's rule beside other implementations, run as ``python -m tests.benchmarks.dempster``.

One thread, process CPU time, methods interleaved round by round; median and range of the rounds' ratios. The
reduced rule combines two sources on ten hypotheses in a million rows, against reading them and writing the
result; TMC's form is written here as its repository computes it, by batched outer products. The full rule
combines two dense sources on eight hypotheses; py_dempster_shafer takes one row at a time, so it is measured
on one row, and left out where it is not installed.
"""

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torchbelief
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion
from bogc.combination import dempster, reduced
from bogc.training.storage import versions, write_atomically, write_json
from tests.benchmarks.rounds import prepare

if find_spec("pyds"):
    from pyds import MassFunction as Peer

RESULTS = Path(__file__).parent / "results"
HYPOTHESES, ROWS, ROUNDS = 10, 1_000_000, 5
FULL, FULL_ROWS = 8, 1000
Cases = dict[str, tuple[Callable[[], object], int]]  # what is run, and on how many rows


def outer_products(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Combine (b, u), with the conflict as the sum of an outer product off its diagonal."""
    (b1, u1), (b2, u2) = first, second
    products = torch.bmm(b1.unsqueeze(2), b2.unsqueeze(1))
    conflict = products.sum((1, 2)) - torch.diagonal(products, dim1=-2, dim2=-1).sum(-1)
    left = (1 - conflict).unsqueeze(1)
    belief = (b1 * b2 + b1 * u2.unsqueeze(1) + b2 * u1.unsqueeze(1)) / left
    return belief, u1 * u2 / left.squeeze(1)


def evidence_into(first: Tensor, second: Tensor, weight: float, out: Tensor) -> None:
    """Combine evidence into memory that is there, as a training step would."""
    out.copy_(reduced.evidence_pair(first, second, weight, first.new_ones(())))


def reduced_cases() -> Cases:
    """The reduced rule in four forms."""
    first, second = (10 * torch.rand(ROWS, HYPOTHESES) for _ in range(2))
    out, weight, one = torch.empty_like(first), float(HYPOTHESES), torch.ones(())
    evidences = [Evidence(values, weight) for values in (first, second)]
    opinions = [Opinion.from_dirichlet(DirichletBelief.from_evidence(e)) for e in evidences]
    pairs = [(opinion.belief, opinion.uncertainty) for opinion in opinions]
    compiled = torch.compile(evidence_into)
    return {
        "read inputs, write output": (lambda: torch.add(first, second, out=out), ROWS),
        "evidence, compiled": (lambda: compiled(first, second, weight, out), ROWS),
        "evidence": (lambda: reduced.evidence_pair(first, second, weight, one), ROWS),
        "opinions": (lambda: reduced.RULE.fold(opinions), ROWS),
        "outer products, as TMC": (lambda: outer_products(*pairs), ROWS),
    }


def full_cases() -> Cases:
    """The rule on the whole power set."""
    drawn = torch.rand(2, FULL_ROWS, 2**FULL, dtype=torch.float64)
    drawn[..., 0] = 0
    drawn /= drawn.sum(-1, keepdim=True)
    masses = [MassFunction(values) for values in drawn]
    frame = torchbelief.Frame(FULL)
    found: Cases = {
        "bogc": (lambda: dempster.combine(masses), FULL_ROWS),
        "torchbelief": (lambda: torchbelief.dempster(drawn[0], drawn[1], frame), FULL_ROWS),
    }
    if find_spec("pyds"):
        names = [frozenset(k for k in range(FULL) if i >> k & 1) for i in range(2**FULL)]
        peers = [Peer(dict(zip(names[1:], values[0].tolist()[1:], strict=True))) for values in drawn]
        found["py_dempster_shafer"] = (lambda: peers[0].combine_conjunctive(peers[1]), 1)
    return found


def measure(cases: Cases) -> dict[str, dict[str, float]]:
    """Nanoseconds a row, and ratios to the first case."""
    for run, _ in cases.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (run, rows) in cases.items():
            started = time.process_time()
            run()
            seconds[name].append((time.process_time() - started) / rows)
    reference = next(iter(seconds.values()))
    found = {}
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, reference, strict=True)]
        found[name] = {
            "nanoseconds": 1e9 * statistics.median(values),
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
        }
    return found


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Nanoseconds a row on logarithmic axes."""
    figure, panels = plt.subplots(1, len(found), figsize=(10, 2.6), layout="constrained")
    for axes, (title, rows) in zip(panels, found.items(), strict=True):
        names = list(rows)[::-1]
        axes.barh(names, [rows[name]["nanoseconds"] for name in names], color="tab:blue")
        axes.set_xscale("log")
        axes.set_xlabel("CPU nanoseconds a row")
        axes.set_title(title, fontsize=10)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
    plt.close(figure)


def main() -> None:
    """Measure, print, draw and keep."""
    prepare()
    console, kept = Console(), {}
    problems = {
        f"reduced rule, K = {HYPOTHESES}": reduced_cases(),
        f"full rule, K = {FULL}": full_cases(),
    }
    for title, cases in problems.items():
        kept[title] = measure(cases)
        table = Table("form", "CPU ns a row (median)", "ratio to the first", "range", title=title)
        for name, row in kept[title].items():
            low_high = f"{row['low']:.2f} to {row['high']:.2f}"
            table.add_row(name, f"{row['nanoseconds']:.1f}", f"{row['ratio']:.2f}", low_high)
        console.print(table)
    draw(kept, RESULTS / "dempster.png")
    write_json(
        RESULTS / "dempster.json", {"device": "cpu, 1 thread", "results": kept, "versions": versions()}
    )
    console.print(f"Kept in {RESULTS / 'dempster.json'}")


if __name__ == "__main__":
    main()
