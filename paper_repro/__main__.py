"""The command line: python -m paper_repro list | run NAME | report."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from bogc.errors import BogcError
from bogc.training.cost import keep_freed_memory
from bogc.training.spread import CLUSTER_HELP, Workers
from paper_repro.experiment import Experiment
from paper_repro.experiments import EXPERIMENTS, experiment_named
from paper_repro.report import write_report
from paper_repro.results import FILE, Run, carry_out, read_results

app = typer.Typer(
    help="Published numbers beside what this project measures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(soft_wrap=True, highlight=False)
Folder = Annotated[
    Path, typer.Option(help="Where results and report lie; `paper_repro` holds the stored ones.")
]
DEFAULT = Path("runs/repro")


@app.command("list")
def list_experiments(folder: Folder = DEFAULT) -> None:
    """List the experiments, and how far each has come."""
    table = Table(Column("name", no_wrap=True), "paper", "runs", "ledger rows")
    for name, experiment in EXPERIMENTS.items():
        results = read_results(folder / experiment.folder / FILE)
        done = 0 if results is None else len(results.runs)
        rows = sum(series.row is not None for series in experiment.series)
        table.add_row(
            name, experiment.paper, f"{done} of {len(experiment.tasks(experiment.full))}", str(rows)
        )
    console.print(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment, or all that take minutes.")],
    folder: Folder = DEFAULT,
    quick: Annotated[
        bool, typer.Option(help="A small configuration of seconds, which proves nothing.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Local processes; 0: one a core.", min=0)] = 0,
    cluster: Annotated[str, typer.Option(help=CLUSTER_HELP)] = "",
) -> None:
    """Carry out the runs that are not finished; an interrupted experiment is resumed by the same command.

    Runs are spread over processes, except those that measure time; values do not depend on their number.
    """
    workers = Workers(jobs, cluster)
    for experiment in chosen(name):
        config = experiment.quick if quick else experiment.full
        path = folder / experiment.folder / FILE
        results = carry_out(experiment, config, path, _print_run, workers)
        console.print(f"{experiment.name}: {len(results.runs)} runs in {path}")


@app.command()
def report(folder: Folder = DEFAULT) -> None:
    """Write REPRODUCTION.md, REPRODUCTION.html, ledger.csv and the forest plot."""
    for path in write_report(folder):
        console.print(str(path))


def chosen(name: str) -> list[Experiment]:
    """The experiment of that name; for "all", those that do not take hours."""
    if name == "all":
        return [experiment for experiment in EXPERIMENTS.values() if not experiment.hours]
    return [experiment_named(name)]


def _print_run(name: str, finished: Run) -> None:
    values = ", ".join(f"{key} {value:.6g}" for key, value in list(finished.values.items())[:3])
    console.print(
        f"  {name}: {values}{', ...' if len(finished.values) > 3 else ''} ({finished.seconds:.1f} s)"
    )


def main() -> None:
    """Run the command line; an error of the project's own is printed without a traceback, exit status 1."""
    keep_freed_memory()
    try:
        app()
    except BogcError as error:
        Console(stderr=True).print(
            f"{type(error).__name__}: {error}", style="red", soft_wrap=True, markup=False
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
