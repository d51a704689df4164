"""python -m theory: run the checks of the derivations and print a table."""

import json
import sys
import warnings
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from theory import choices
from theory.chapters import Chapter, chapters
from theory.display import display_check
from theory.display_mutation import display_survivors
from theory.mutation import survivors
from theory.registry import Check, How, checks_of
from theory.run import Outcome, run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
HEADER = ("equation", "statement", "how", "largest error", "tolerance", "code", "result")


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    equations: str
    statement: str
    outcome: Outcome

    def cells(self) -> tuple[str, ...]:
        """Return the texts under HEADER."""
        check = self.outcome.check
        rate = f", fails at {check.failure_rate:.0e}" if check.failure_rate else ""
        result = "pass" if self.outcome.passed else f"FAIL {self.outcome.reason}".strip()
        error, tolerance = f"{self.outcome.error:.1e}", f"{check.tolerance:.0e}"
        return self.equations, self.statement, f"{check.how}{rate}", error, tolerance, check.code, result


@app.command()
def main(
    equation: Annotated[str, typer.Option(help="Only this equation, such as 4.7.")] = "",
    chapter: Annotated[int | None, typer.Option(help="Only this chapter.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print a Markdown table.")] = False,
    mutate: Annotated[
        bool, typer.Option(help="Change every formula and display everywhere; all must be caught.")
    ] = False,
    write: Annotated[
        bool, typer.Option(help="Write chapter 0's tables of choices anew; check nothing.")
    ] = False,
) -> None:
    """Check every numbered equation of theory/ and read its display; exit status 1 if any of it fails.

    [bold]Examples[/]

      python -m theory
      python -m theory --chapter 4
      python -m theory --equation 4.7
      python -m theory --mutate
      python -m theory --write
    """
    if write:
        choices.PAGE.write_text(choices.written(choices.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    chosen = [c for c in chapters() if chapter is None or c.number == chapter]
    if mutate:
        sys.exit(_mutate(chosen))
    lines = _run(chosen, equation)
    if not lines:
        raise typer.BadParameter("no check has that equation or chapter; run without options to see all")
    _print(lines, as_json, markdown)
    sys.exit(0 if all(line.outcome.passed for line in lines) else 1)


def _run(chosen: list[Chapter], equation: str) -> list[Line]:
    console = Console(stderr=True)
    every = [(c, check) for c in chosen for check in (*checks_of(c.module), *_displays(c))]
    tasks = [(c, check) for c, check in every if not equation or equation in check.equations]
    lines = []
    for owner, check in track(tasks, "checking", console=console, transient=True):
        torch.manual_seed(0)
        statement = owner.statements.get(check.equations[0], "")
        lines.append(Line(", ".join(check.equations), statement, run(check)))
    return lines


def _displays(chapter: Chapter) -> list[Check]:
    """Return a check of each display."""
    return [display_check(number, text) for number, text in chapter.displays.items()]


def _print(every: list[Line], as_json: bool, markdown: bool) -> None:
    displays = [line for line in every if line.outcome.check.how is How.DISPLAY]
    checks = [line for line in every if line not in displays]
    lines = [*checks, *(line for line in displays if not line.outcome.passed)]
    counts = [(sum(line.outcome.passed for line in part), len(part)) for part in (checks, displays)]
    summary = "{} of {} checks passed, {} of {} displays say the same".format(*counts[0], *counts[1])
    summary += f", in {sum(line.outcome.seconds for line in every):.1f} s"
    if as_json:
        rows = [
            {"check": line.outcome.check.name, **dict(zip(HEADER, line.cells(), strict=True))}
            for line in lines
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif markdown:
        for cells in (HEADER, ("---",) * len(HEADER), *(line.cells() for line in lines)):
            print(f"| {' | '.join(cells)} |")
        print(f"\n{summary}.")
    else:
        table = Table(padding=(0, 0, 0, 1))
        for name in HEADER:
            table.add_column(name, overflow="fold")  # in a narrow terminal, wrap rather than cut
        for line in lines:
            table.add_row(*line.cells(), style=None if line.outcome.passed else "red")
        console = Console()
        console.print(table)
        console.print(summary)


def _mutate(chosen: list[Chapter]) -> int:
    console = Console()
    warnings.simplefilter("ignore")  # a mutant may well divide by zero
    total, alive = 0, list[str]()
    for chapter in track(chosen, "mutating", console=Console(stderr=True), transient=True):
        count, formulas = survivors(chapter.module)
        shown, displays = display_survivors(chapter)
        total += count + shown
        alive += [f"{', '.join(m.equations)} {m.formula}: {m.change}" for m in formulas]
        alive += [f"{number} display: {change}" for number, change in displays]
        caught = f"{count - len(formulas)} of {count} mutants of formulas"
        caught += f" and {shown - len(displays)} of {shown} of displays"
        console.print(f"chapter {chapter.number}: {caught} caught")
    for mutant in alive:
        console.print(f"alive {mutant}", style="red", markup=False, soft_wrap=True)
    console.print(f"mutation score {total - len(alive)} / {total}")
    return 1 if alive else 0


if __name__ == "__main__":
    app()
