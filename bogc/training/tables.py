"""The tables of a comparison, for the terminal and in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from bogc.training.compare import Comparison, search_space
from bogc.training.statistics import Difference, Interval
from bogc.training.summary import Row, p_text

HEADER: Final = (
    "method",
    "accuracy %",
    "- joint",
    "p",
    "- best sibling",
    "p, sibling",
    "macro-F1 %",
    "NLL",
    "ECE %",
    "ms/step",
    "MB/step",
)
SHORT: Final = (*HEADER[:6], "ms/step")  # what fits in 80 columns


def cells(line: Row, folds: int) -> dict[str, str]:
    """Texts under HEADER; p-values are corrected for the number of comparisons in their column."""
    accuracy = "diverged" if line.accuracy is None else line.accuracy.percent()
    if 0 < line.folds < folds:
        accuracy += f" ({line.folds} of {folds} folds)"
    return {
        "method": line.method,
        "accuracy %": accuracy,
        "- joint": _points(line.joint),
        "p": _p(line.joint),
        "- best sibling": _points(line.sibling),
        "p, sibling": _p(line.sibling),
        "macro-F1 %": _percent(line.macro_f1),
        "NLL": "" if line.nll is None else str(line.nll),
        "ECE %": _percent(line.calibration_error),
        "ms/step": "" if line.milliseconds is None else f"{line.milliseconds:.1f}",
        "MB/step": "" if line.megabytes is None else f"{line.megabytes:.3g}",
    }


def title(comparison: Comparison) -> str:
    """What was done, with the budget."""
    budget = f"{comparison.budget} trial(s) a method and fold" if comparison.budget > 1 else "no search"
    return (
        f"{comparison.base.dataset}: test, mean and 95 % interval over {len(comparison.folds)} fold(s), "
        f"{len(comparison.seeds)} seed(s) each; {budget}, {comparison.fits:,} runs"
    )


def main_table(comparison: Comparison, lines: Sequence[Row]) -> Table:
    """Return the table for the terminal, without the columns that only table.md has room for."""
    texts = [cells(line, len(comparison.folds)) for line in lines]
    body = [[text[name] for name in SHORT] for text in texts]
    return _rich(title(comparison), ["p" if name == "p, sibling" else name for name in SHORT], body)


def modality_table(lines: Sequence[Row]) -> Table:
    """Test accuracy without each modality, and the mean over modalities of the linear probes."""
    names = _modalities(lines)
    body = [
        [line.method, *(_percent(line.without.get(name)) for name in names), _mean_probe(line)]
        for line in lines
    ]
    caption = "Test accuracy % with one modality removed, and of linear probes on the encoders"
    return _rich(caption, ["method", *(f"- {name}" for name in names), "probes"], body)


def markdown(comparison: Comparison, lines: Sequence[Row]) -> str:
    """Return the main table in Markdown, with every column."""
    return _markdown(HEADER, [list(cells(line, len(comparison.folds)).values()) for line in lines])


def modality_markdown(lines: Sequence[Row]) -> str:
    """Missing modalities with intervals, and the mean of each linear probe."""
    names = _modalities(lines)
    header = [
        "method",
        *(f"without {n} %" for n in names),
        *(f"probe of {n} %" for n in names),
        "mean probe %",
    ]
    body = []
    for line in lines:
        removed = [_percent(line.without.get(name)) for name in names]
        probes = [f"{100 * line.probes[n].mean:.1f}" if n in line.probes else "" for n in names]
        body.append([line.method, *removed, *probes, _mean_probe(line)])
    return _markdown(header, body)


def settings_markdown(comparison: Comparison, lines: Sequence[Row]) -> str:
    """What was searched for each method, and the value chosen on each fold, in the order of the folds."""
    body = []
    for line in lines:
        for name, distribution in search_lines(comparison, line.method).items():
            values = [str(chosen[name]) for chosen in line.chosen]
            body.append([line.method, name, distribution, ", ".join(values)])
    return _markdown(["method", "setting", "searched", "chosen, by fold"], body)


def search_lines(comparison: Comparison, method: str) -> dict[str, str]:
    """Description of what is searched for a method, by setting; "not searched" if the budget is 1."""
    space = search_space(comparison.base, method)
    return {
        setting: distribution.describe() if comparison.budget > 1 else "not searched"
        for setting, distribution in space.items()
    }


def notes(comparison: Comparison, lines: Sequence[Row], refused: Mapping[str, str]) -> str:
    """What a reader of the table needs to know: the best sibling, what diverged, and what was left out.

    Args:
        comparison: What was compared.
        lines: One row a method.
        refused: Why a method could not be compared, by method.
    """
    shown = [
        "p-values of paired t-tests, corrected for the number of comparisons in a column (Holm); intervals "
        "are not. Both allow for folds that share training data (Nadeau and Bengio)."
    ]
    paired = [line for line in lines if line.sibling is not None]
    if paired:
        first = max(paired, key=lambda line: line.validation or 0.0)
        second = first.sibling.reference if first.sibling is not None else ""
        shown.append(
            f"Best sibling by validation accuracy: {first.method}; of {first.method} itself: {second}."
        )
    for line in lines:
        if line.diverged_trials or line.diverged_runs:
            trials = comparison.budget * len(comparison.folds)
            shown.append(
                f"{line.method}: {line.diverged_trials} of {trials} trials diverged, "
                f"{line.diverged_runs} of the runs with chosen settings."
            )
    shown += [f"Left out: {method}: {reason}" for method, reason in refused.items()]
    return "\n".join(shown)


def _modalities(lines: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line.probes))


def _mean_probe(line: Row) -> str:
    means = [interval.mean for interval in line.probes.values()]
    return f"{100 * sum(means) / len(means):.1f}" if means else ""


def _percent(interval: Interval | None) -> str:
    return "" if interval is None else interval.percent()


def _points(difference: Difference | None) -> str:
    return "" if difference is None else difference.interval.percent("+")


def _p(difference: Difference | None) -> str:
    return "" if difference is None or difference.corrected is None else p_text(difference.corrected)


def _rich(caption: str, header: Sequence[str], body: Sequence[Sequence[str]]) -> Table:
    table = Table(title=Text(caption), padding=(0, 0, 0, 1))
    for name in header:
        method = name == "method"
        table.add_column(Text(name), justify="left" if method else "right", no_wrap=method)
    for row in body:
        table.add_row(*map(Text, row))
    return table


def _markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
