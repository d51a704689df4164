"""The ratios by size: a picture, and a table with medians and ranges over the runs."""

import statistics
from typing import Final

from matplotlib.figure import Figure

from bogc.training.pictures import COLOURS
from paper_repro.document import Block, Paragraph, Picture, Table
from paper_repro.mimo_subroutine.run import READINGS, key
from paper_repro.mimo_subroutine.subroutines import BASELINES, DIRECTION, WEIGHTS
from paper_repro.results import Results
from paper_repro.rounding import three_digits

PICTURE: Final = "mimo_subroutine/curve.png"
PUBLISHED: Final = 20  # the ledger's number, the dashed line
COMPARED: Final = (
    "Compared is the CPU time, one thread, from when the losses and the gradients of all sources are there "
    "to when the direction of the update is, all methods in turn within a run. MIMO needs no separate "
    "gradients: strictly, its part is to turn the losses into weights, whose cost does not depend on the "
    f"number of parameters D (*{WEIGHTS}*). Charged also with a weighted sum of gradients that it never "
    f"forms, it costs one pass over them (*{DIRECTION}*). Which of the two, or what else, the paper calls "
    "its subroutine is not known to us, so the status asks for the same answer under both, at the size of "
    "a ResNet-18: in small networks the fixed cost of the solvers would decide. Under the first reading "
    "the ratio grows with D without bound, so no number is an upper bound of it. MMPareto works on the two "
    "gradients that meet in an encoder, here an equal share of D a modality, and so reads fewer numbers."
)


def blocks(results: Results) -> list[Block]:
    """Describe what is compared; one line a method and reading, one column a size."""
    sizes = results.config["sizes"]
    lines = [
        (method, reading, *(_median_and_range(results, key(reading, method, size)) for size in sizes))
        for reading in READINGS
        for method in BASELINES
    ]
    header = ("method", "over the time of", *(f"D = {size:,}" for size in sizes))
    return [
        Paragraph(COMPARED),
        Paragraph("Median over the runs (least to largest) of the ratio of CPU times:"),
        Table(header, tuple(lines)),
        Paragraph(f"Sizes D at which some method's median reaches {PUBLISHED}: {_reached(results)}."),
        Picture(PICTURE, "Time of each method's subroutine over MIMO's by number of parameters; dashed: 20"),
    ]


def curve(results: Results) -> Figure:
    """Draw one panel a reading: median and range over the runs, by size."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    sizes = results.config["sizes"]
    for axis, reading in zip(figure.subplots(1, len(READINGS)), READINGS, strict=True):
        for method, colour in zip(BASELINES, COLOURS, strict=False):
            found = [list(results.values_of(key(reading, method, size)).values()) for size in sizes]
            medians = [_median(results, reading, method, size) for size in sizes]
            axis.plot(sizes, medians, "o-", markersize=3, color=colour, label=method)
            least, most = ([pick(values) for values in found] for pick in (min, max))
            axis.fill_between(sizes, least, most, color=colour, alpha=0.2, linewidth=0)
        axis.axhline(PUBLISHED, color="black", linestyle="--", linewidth=0.8)
        axis.set(xscale="log", yscale="log", xlabel="parameters D", title=f"over {reading}")
    figure.axes[0].set_ylabel("ratio of CPU times")
    figure.axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _reached(results: Results) -> str:
    """For each reading, the sizes at which the largest median reaches the published number."""
    found = []
    for reading in READINGS:
        largest = {
            size: max(_median(results, reading, method, size) for method in BASELINES)
            for size in results.config["sizes"]
        }
        sizes = [f"{size:,}" for size, value in largest.items() if value >= PUBLISHED]
        found.append(f"over *{reading}* {'; '.join(sizes) if sizes else 'none'}")
    return ", and ".join(found)


def _median(results: Results, reading: str, method: str, size: int) -> float:
    return statistics.median(results.values_of(key(reading, method, size)).values())


def _median_and_range(results: Results, name: str) -> str:
    values = list(results.values_of(name).values())
    if not values:
        return ""
    median, least, most = map(three_digits, (statistics.median(values), min(values), max(values)))
    return f"{median} ({least} to {most})"
