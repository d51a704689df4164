"""The table of a comparison, for the terminal and in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from bogc.training.compare import Comparison, by_fold, read_result
from bogc.training.statistics import Interval, mean_interval, paired_difference

HEADER: Final = (
    "method",
    "accuracy %",
    "- joint",
    "- sum",
    "macro-F1 %",
    "NLL",
    "ECE %",
    "ms/step",
    "rates chosen",
)
FUSED_TEST: Final = ("test", "fused")
SHORT: Final = ("method", "accuracy %", "- joint", "- sum", "NLL", "ms/step")  # what fits in 80 columns


@dataclass(frozen=True)
class Row:
    """One method's line: intervals over folds, each fold the mean of its seeds."""

    method: str
    accuracy: Interval
    differences: dict[str, Interval]
    macro_f1: Interval
    nll: Interval
    calibration_error: Interval
    milliseconds: float
    rates: tuple[float, ...]
    diverged: int

    def cells(self) -> dict[str, str]:
        """Return the texts under HEADER; a method with diverged runs says so beside its name."""
        return {
            "method": self.method + (f" ({self.diverged} diverged)" if self.diverged else ""),
            "accuracy %": self.accuracy.percent(),
            "- joint": self._difference("joint"),
            "- sum": self._difference("sum"),
            "macro-F1 %": self.macro_f1.percent(),
            "NLL": str(self.nll),
            "ECE %": self.calibration_error.percent(),
            "ms/step": f"{self.milliseconds:.1f}",
            "rates chosen": ", ".join(f"{rate:g}" for rate in self.rates),
        }

    def _difference(self, name: str) -> str:
        return self.differences[name].percent("+") if name in self.differences else ""


def rows(comparison: Comparison, root: Path) -> list[Row]:
    """Summarise the finished second stage."""
    finished: dict[str, list[dict[str, Any]]] = {method: [] for method in comparison.methods}
    for config in comparison.chosen(root):
        finished[config.method].append(read_result(root, config))
    tested = {m: [r for r in results if "test" in r] for m, results in finished.items()}
    accuracy = {m: by_fold(tested[m], comparison.folds, *FUSED_TEST, "accuracy") for m in tested}
    return [
        _row(method, finished[method], tested[method], accuracy, comparison.folds)
        for method in comparison.methods
    ]


def _row(
    method: str,
    results: Sequence[dict[str, Any]],
    tested: Sequence[dict[str, Any]],
    accuracy: dict[str, list[float]],
    folds: Sequence[int],
) -> Row:
    own = accuracy[method]
    others = {
        name: paired_difference(own, values)
        for name, values in accuracy.items()
        if name in ("joint", "sum") and name != method and len(values) == len(own)
    }
    seconds = [result["seconds_per_step"] for result in tested]
    return Row(
        method=method,
        accuracy=mean_interval(own),
        differences=others,
        macro_f1=mean_interval(by_fold(tested, folds, *FUSED_TEST, "macro_f1")),
        nll=mean_interval(by_fold(tested, folds, *FUSED_TEST, "nll")),
        calibration_error=mean_interval(by_fold(tested, folds, *FUSED_TEST, "calibration_error")),
        milliseconds=1000 * sum(seconds) / len(seconds),
        rates=tuple(sorted({result["config"]["lr"] for result in results})),
        diverged=len(results) - len(tested),
    )


def rich_table(title: str, lines: Sequence[Row]) -> Table:
    """Return the table for the terminal, without the columns that only table.md has room for."""
    table = Table(title=title, padding=(0, 0, 0, 1))
    for name in SHORT:
        table.add_column(name, justify="left" if name == "method" else "right")
    for line in lines:
        cells = line.cells()
        table.add_row(*(cells[name] for name in SHORT))
    return table


def markdown(lines: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    body = [HEADER, ("---",) * len(HEADER), *(tuple(line.cells().values()) for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in body) + "\n"


def verdict(lines: Sequence[Row]) -> str:
    """Say in words what the paired differences of bogc show, whatever it is."""
    own = next((line for line in lines if line.method == "bogc"), None)
    if own is None:
        return ""
    return "\n".join(
        f"bogc against {name}: {_judge(difference)}" for name, difference in own.differences.items()
    )


def _judge(difference: Interval) -> str:
    if difference.half is None:
        return (
            f"{100 * difference.mean:+.2f} points on a single fold; one fold shows nothing about the method."
        )
    text = f"{100 * difference.mean:+.2f} points, 95 % interval ± {100 * difference.half:.2f}"
    if abs(difference.mean) <= difference.half:
        return f"{text}: no difference shown."
    return f"{text}: {'better' if difference.mean > 0 else 'worse'}."
