"""Cost of the fused pass, as a ratio to reading its inputs and writing its output.

Run as ``python -m tests.benchmarks.fusion``. Three sources and ten million dimensions in one block; one
thread, process CPU time, methods interleaved round by round; median and range of the rounds' ratios, and the
ratio of the least times. The reference is a compiled loop that adds the six inputs. ``directions`` is what
the reference is the limit of: posterior, evidence, opinions, fusion, weights and conservatism from moments
and the scale of the prior; the whole pass adds sums for that scale, the scale itself, norms and scaling.
"""

from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bogc.belief import PseudoCount, ReliabilityFrame, SignFrame
from bogc.calibration import (
    Compiled,
    Eager,
    Kernel,
    MatchEachBlock,
    Pipeline,
    calibrate_block,
    calibrator,
    closed_form,
)
from bogc.calibration.batch import Batch, Constants
from bogc.calibration.layout import layout
from bogc.gradients import GradientMoments
from tests.benchmarks.rounds import as_json, keep, prepare, ratios

SOURCES, SIZE, ROUNDS = 3, 10_000_000, 5
FORMS = {
    "reliability": Pipeline(evidence=PseudoCount(frame=ReliabilityFrame())),
    "sign (default)": Pipeline(evidence=PseudoCount(frame=SignFrame())),
}
REFERENCE = "read inputs, write output"
Cases = dict[str, Callable[[], object]]


def add_all(gradients: list[Tensor], scatters: list[Tensor], out: Tensor) -> None:
    """Read everything once and write as much as an update."""
    total = gradients[0] + scatters[0]
    for gradient, scatter in zip(gradients[1:], scatters[1:], strict=True):
        total = total + gradient + scatter
    out.copy_(total)


def constants(device: str) -> Constants:
    """Floors, noise and prior scales of an ordinary step."""
    one = torch.ones(SOURCES, 1, device=device)
    return Constants(1e-6 * one, one / 64, 0.3 * one)


def directions(kernel: Kernel, form: Pipeline, gradients: list[Tensor], scatters: list[Tensor]) -> Callable:
    """One pass of the kernel."""
    where = layout((len(gradients[0]),), kernel.chunk)
    batch = Batch.of(where, [[g] for g in gradients], [[s] for s in scatters])
    closed, given = closed_form(form), constants(str(gradients[0].device))
    out = torch.zeros(where.length, device=gradients[0].device)
    return lambda: kernel.directions(closed, batch, given, out)


def moments_of(gradients: list[Tensor], scatters: list[Tensor]) -> dict[str, GradientMoments]:
    one = torch.ones(1)
    return {
        f"source {m}": GradientMoments.unchecked(
            mean=g, scatter=s, count=64 * one, degrees_of_freedom=9 * one
        )
        for m, (g, s) in enumerate(zip(gradients, scatters, strict=True))
    }


def cases(gradients: list[Tensor], scatters: list[Tensor]) -> Cases:
    """What is measured on the CPU."""
    out = torch.zeros(SIZE)
    added = torch.compile(add_all, dynamic=True)
    found: Cases = {REFERENCE: lambda: added(gradients, scatters, out)}
    moments = {"block": moments_of(gradients, scatters)}
    means = {"block": {name: m.mean for name, m in moments["block"].items()}}
    for name, form in FORMS.items():
        for kernel in (Compiled(), Eager()):
            how = type(kernel).__name__.lower()
            found[f"{name}: directions, {how}"] = directions(kernel, form, gradients, scatters)
            whole = calibrator(form, MatchEachBlock(), kernel)
            found[f"{name}: whole pass, {how}"] = lambda whole=whole: whole(means, moments, {})
    default = FORMS["sign (default)"]
    found["sign (default): chain of objects"] = lambda: calibrate_block(moments["block"], {}, default)
    return found


def main() -> None:
    """Measure, print, draw and keep."""
    prepare()
    gradients = [torch.randn(SIZE) for _ in range(SOURCES)]
    scatters = [torch.rand(SIZE) + 0.1 for _ in range(SOURCES)]
    works = cases(gradients, scatters)
    title = f"{SOURCES} sources, {SIZE:,} dimensions"
    found = ratios(works, dict.fromkeys(works, ROUNDS))
    table = Table("pass", "CPU ms (median)", "ratio (range)", "ratio of the least", title=title)
    for name, row in found.items():
        table.add_row(name, f"{row.milliseconds:.1f}", str(row), f"{row.of_least:.2f}")
    Console().print(table)
    keep("fusion", {"sources": SOURCES, "dimensions": SIZE, "passes": as_json(found)}, {title: found})


if __name__ == "__main__":
    main()
