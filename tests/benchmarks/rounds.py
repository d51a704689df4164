"""Ratios of CPU time: contestants take turns, round by round, in one process with one thread.

A busy machine then disturbs all alike. Each round's times are divided by the reference's of the same round.
"""

import statistics
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.progress import track

from bogc.training.cost import keep_freed_memory
from bogc.training.pictures import save_figure
from bogc.training.storage import versions, write_json

RESULTS = Path(__file__).parent / "results"
Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """Median and range over rounds, as multiples of the reference; milliseconds are the median's.

    ``of_least`` divides the least time of all rounds by the reference's least: other processes, which evict
    caches, only ever add to a time.
    """

    ratio: float
    of_least: float
    low: float
    high: float
    milliseconds: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


def prepare() -> None:
    """One thread; and memory that is freed is kept, as bogc's commands do: pages are not what is measured."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()


def ratios(works: Mapping[str, Work], rounds: Mapping[str, int]) -> dict[str, Ratio]:
    """Run each work once to warm up and then ``rounds`` times; the first one is the reference.

    Works with fewer rounds than the reference take part in the first ones only.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for index in track(range(max(rounds.values())), description="rounds", transient=True):
        for name, work in works.items():
            if index < rounds[name]:
                started = time.process_time()
                work()
                seconds[name].append(time.process_time() - started)
    reference = next(iter(seconds.values()))
    found = {}
    for name, values in seconds.items():
        each = [value / base for value, base in zip(values, reference, strict=False)]
        middle = 1000 * statistics.median(values)
        least = min(values) / min(reference)
        found[name] = Ratio(statistics.median(each), least, min(each), max(each), middle, len(each))
    return found


def keep(name: str, results: Mapping[str, Any], panels: Mapping[str, Mapping[str, Ratio]]) -> None:
    """Write ``results`` as JSON and draw the ratios of each panel."""
    write_json(
        RESULTS / f"{name}.json", {"device": "cpu, 1 thread", "results": results, "versions": versions()}
    )
    figure = Figure(figsize=(4.2 * len(panels) + 2.8, 3.6), layout="constrained")
    for axes, (title, found) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _bars(axes, title, found)
    save_figure(RESULTS, name, figure)


def as_json(found: Mapping[str, Ratio]) -> dict[str, dict[str, float]]:
    """Plain numbers."""
    return {name: asdict(ratio) for name, ratio in found.items()}


def _bars(axes: Axes, title: str, found: Mapping[str, Ratio]) -> None:
    middles = [ratio.ratio for ratio in found.values()]
    ends = [[r.ratio - r.low for r in found.values()], [r.high - r.ratio for r in found.values()]]
    axes.barh(list(found), middles, xerr=ends, color="#4477aa", ecolor="#888888")
    for row, middle in enumerate(middles):
        axes.text(middle, row, f" {middle:.2f}", va="bottom", fontsize="small")
    axes.set_title(textwrap.fill(title, 36), fontsize="medium")
    axes.set(xlabel="CPU time, as a multiple of the first", xscale="log")
    axes.set_xlim(right=1.8 * max(ratio.high for ratio in found.values()))  # room for the last number
    axes.invert_yaxis()
