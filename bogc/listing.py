"""Commands that only tell: methods and their cost, data sets, versions."""

from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bogc.data import DATASETS, describe, load_dataset
from bogc.errors import UnsuitableError
from bogc.methods import METHODS
from bogc.options import completion
from bogc.training.config import TrainConfig
from bogc.training.cost import ROUNDS, WARMUP, Cost, example, step_costs
from bogc.training.progress import bars
from bogc.training.storage import versions

data_app = typer.Typer(help="Data sets: what there is, fetching, and what is in them.", no_args_is_help=True)
console = Console(emoji=False)  # ":b:" in a name is no picture

Name = Annotated[
    str,
    typer.Argument(help="Registered name, or package.module:function.", autocompletion=completion(DATASETS)),
]


def info() -> None:
    """Show versions, devices, methods and data sets."""
    lines = versions() | {"cuda": torch.cuda.is_available()}
    lines |= {"methods": ", ".join(METHODS), "data sets": ", ".join(DATASETS)}
    for name, value in lines.items():
        console.print(f"{name:10} {value}", markup=False, soft_wrap=True)


def methods(
    measure: Annotated[bool, typer.Option(help="Measure a step of each; takes seconds.")] = False,
    batch_size: Annotated[int, typer.Option(help="Samples a step.", min=2)] = 64,
    features: Annotated[int, typer.Option(help="Width of each encoder's output.", min=2)] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """List every method: its source, what it needs from a step, its backward passes, and its cost.

    With --measure, each takes training steps on a batch of two random series, in turn with the plain sum of
    losses; the last column is the median ratio to the plain sum's step.

    [bold]Examples[/]

      bogc methods
      bogc methods --measure --batch-size 128 --features 128
    """
    costs: dict[str, Cost | UnsuitableError] = {}
    if measure:
        config = TrainConfig(batch_size=batch_size, features=features, device=device)
        series = {modality: torch.zeros(3, 200) for modality in ("a", "b")}
        data = example(series, size=batch_size).to(config.torch_device())
        with bars(console) as progress:
            task = progress.add_task("rounds", total=WARMUP + ROUNDS, status="")
            costs = step_costs(data, list(METHODS), config, listen=lambda: progress.advance(task))
    table = Table(padding=(0, 0, 0, 1), show_lines=True)
    table.add_column("name", no_wrap=True, min_width=max(map(len, METHODS)))
    for column in ("what it does, and its source", "needs", "backward passes", "step / sum's")[: 3 + measure]:
        table.add_column(column)
    for name, spec in METHODS.items():
        cost = costs.get(name)
        what = f"{escape(spec.summary)}\n[dim]{escape(spec.paper)}[/]"
        row = [escape(name), what, escape(spec.needs), escape(spec.passes)]
        if cost is not None:
            row.append(
                f"{cost.ratio:.1f}" if isinstance(cost, Cost) else escape(f"{cost.parameter} {cost.rule}")
            )
        table.add_row(*row)
    console.print(table)


@data_app.command("list")
def list_data() -> None:
    """List the registered data sets."""
    table = Table("name", "what", "samples", "modalities", "from")
    for spec in DATASETS.values():
        row = (spec.name, spec.summary, str(spec.size), ", ".join(spec.modalities), spec.source)
        table.add_row(*map(escape, row))
    console.print(table)


@data_app.command("fetch")
def fetch_data(name: Name) -> None:
    """Fetch a data set into the cache and check it."""
    with console.status(f"Fetching {escape(name)}"):
        dataset = load_dataset(name)
    console.print(f"{name}: {len(dataset)} samples, ready.", markup=False)


@data_app.command("describe")
def describe_data(name: Name) -> None:
    """Print counts and statistics of a data set as JSON."""
    with console.status(f"Loading {escape(name)}"):
        summary = describe(load_dataset(name))
    console.print_json(data=summary)
