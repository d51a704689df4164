"""The command line: bogc train | compare | evaluate | data | info."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, TypeVar

import torch
import typer
from rich.console import Console
from rich.table import Table

from bogc.balancing.settings import METHODS, choose
from bogc.data import DATASETS, describe, load_dataset
from bogc.errors import BogcError, CheckpointError
from bogc.models import FUSIONS, MultimodalClassifier
from bogc.options import with_config
from bogc.training import checkpoint, tables
from bogc.training.compare import Comparison, default_jobs, run_all
from bogc.training.config import TrainConfig
from bogc.training.files import write_atomically, write_json
from bogc.training.loop import prepare
from bogc.training.loop import train as train_run
from bogc.training.metrics import evaluate as evaluate_model
from bogc.training.pictures import draw_comparison, draw_run
from bogc.training.progress import many_runs, one_run
from bogc.training.versions import versions

app = typer.Typer(
    help="Bayesian-oriented gradient calibration for multi-modal learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="Data sets: what there is, fetching, and what is in them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
console = Console()
Number = TypeVar("Number", int, float)

Out = Annotated[Path, typer.Option(help="Folder for the run folders.")]
Name = Annotated[str, typer.Argument(help="Registered name, or package.module:function.")]


@app.command()
@with_config
def train(config: TrainConfig, out: Out = Path("runs")) -> None:
    """Train one model, going on from its checkpoint if the run was interrupted.

    [bold]Examples[/]

      bogc train
      bogc train --dataset mfeat --method sum --epochs 30
      bogc train --frame reliability --scaling match-plain-sum --seed 3
      bogc train --config my.toml --device cuda --bf16
    """
    dataset = load_dataset(config.dataset)
    folder = out / config.run_name
    with one_run(console, f"{config.method} on {config.dataset}, fold {config.fold}") as listen:
        result = train_run(config, dataset, folder, listen)
    pictures = draw_run(folder)
    _print_evaluation(f"Test, best epoch {result['best_epoch'] + 1} of {result['epochs']}", result["test"])
    console.print(
        f"Run folder: {folder}\nPictures:   {', '.join(path.name for path in pictures)}", soft_wrap=True
    )


@app.command()
@with_config
def compare(
    config: TrainConfig,
    methods: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(METHODS)}.")] = ",".join(METHODS),
    only_folds: Annotated[str, typer.Option(help="Comma-separated test folds; all if empty.")] = "",
    seeds: Annotated[int, typer.Option(help="Seeds a fold.", min=1)] = 3,
    rates: Annotated[
        str, typer.Option(help="Learning rates, tuned a method and fold on validation.")
    ] = "0.02",
    jobs: Annotated[int, typer.Option(help="Processes; 0: one a core.", min=0)] = 0,
    out: Out = Path("runs/compare"),
) -> None:
    """Compare methods on the same folds and seeds, each with the same tuning budget; finished runs are kept.

    [bold]Examples[/]

      bogc compare --methods joint,bogc --only-folds 0 --seeds 1
      bogc compare --dataset watch --rates 0.01,0.04,0.16 --seeds 3
      bogc compare --dataset mfeat --methods sum,bogc --jobs 8 --out runs/mfeat
    """
    folds = tuple(range(config.folds)) if not only_folds else _numbers("only-folds", only_folds, int)
    names = tuple(methods.split(","))
    for name in names:
        choose("methods", name, METHODS)
    plan = Comparison(config, names, folds, tuple(range(seeds)), _numbers("rates", rates, float))
    for config_of_fold in (replace(config, fold=fold) for fold in folds):
        config_of_fold.torch_device()
    load_dataset(config.dataset)  # fetch once, before processes start
    workers = jobs or default_jobs()
    for title, stage in (("tuning", plan.trials), ("seeds", lambda: plan.chosen(out))):
        configs = stage()
        with many_runs(console, title, out, configs) as count:
            for _ in run_all(configs, out, workers):
                count()
    _report(plan, out)


def _report(plan: Comparison, out: Path) -> None:
    """Print and write the table, draw the pictures and say where they are."""
    lines = tables.rows(plan, out)
    title = (
        f"{plan.base.dataset}: test, mean and 95 % interval over {len(plan.folds)} fold(s), "
        f"{len(plan.seeds)} seed(s) each; {len(plan.rates)} learning rate(s) tried a method and fold"
    )
    console.print(tables.rich_table(title, lines))
    verdict = tables.verdict(lines)
    console.print(verdict)
    text = f"{title}\n\n{tables.markdown(lines)}\n{verdict}\n"
    write_atomically(out / "table.md", lambda file: file.write(text.encode()))
    write_json(out / "table.json", {"rows": [asdict(line) for line in lines], "versions": versions()})
    runs: dict[str, list[Path]] = {}
    for config in plan.chosen(out):
        if (out / config.run_name / "best.pt").exists():
            runs.setdefault(config.method, []).append(out / config.run_name)
    pictures = draw_comparison(out, runs)
    for folders in runs.values():
        pictures += sorted((folders[0] / "pictures").glob("*.png"))  # each run has drawn its own
    console.print(f"Table:    {out / 'table.md'}\nPictures:", soft_wrap=True)
    for path in pictures:
        console.print(f"  {path}", soft_wrap=True)


def _numbers(parameter: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a comma-separated list of numbers, such as 1,2", param_hint=parameter
        ) from None


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Measure a trained model again on its test fold: scores, heads, probes, missing modalities.

    [bold]Example[/]

      bogc evaluate runs/watch-bogc-fold0-seed0-0123456789
    """
    if not (folder / "config.json").exists() or not (folder / "best.pt").exists():
        raise CheckpointError(
            str(folder), "must hold config.json and best.pt", "no such files", "Finish the run first."
        )
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = replace(TrainConfig.from_mapping(stored), device=device)
    parts = prepare(config, load_dataset(config.dataset))
    samples = {modality: value[0] for modality, value in parts.train.inputs.items()}
    model = MultimodalClassifier.for_samples(
        samples, parts.train.n_classes, config.features, FUSIONS[config.fusion]
    )
    model.load_state_dict(checkpoint.load(folder / "best.pt", config.digest)["model"])
    model.to(parts.test.targets.device)
    _print_evaluation(f"Test of {folder.name}", asdict(evaluate_model(model, parts.train, parts.test)))


def _print_evaluation(title: str, test: dict[str, dict[str, float]]) -> None:
    table = Table(title=title)
    for name in ("prediction", "accuracy", "macro-F1", "NLL", "ECE"):
        table.add_column(name, justify="left" if name == "prediction" else "right")
    fused = test["fused"]
    table.add_row("fused", *(f"{fused[k]:.4f}" for k in ("accuracy", "macro_f1", "nll", "calibration_error")))
    kinds = {"head of": test["unimodal"], "linear probe of": test["probes"], "fused without": test["without"]}
    for kind, values in kinds.items():
        for modality, accuracy in values.items():
            table.add_row(f"{kind} {modality}", f"{accuracy:.4f}")
    console.print(table)


@app.command()
def info() -> None:
    """Show versions, devices, methods and data sets."""
    for name, value in versions().items():
        console.print(f"{name:10} {value}")
    console.print(f"{'cuda':10} {torch.cuda.is_available()}")
    table = Table(title="Methods")
    for column in ("name", "what it does", "source", "needs", "backward passes"):
        table.add_column(column)
    for name, spec in METHODS.items():
        table.add_row(name, spec.summary, spec.paper, spec.needs, spec.passes)
    console.print(table)


@data_app.command("list")
def list_data() -> None:
    """List the registered data sets."""
    table = Table("name", "what", "samples", "modalities", "from")
    for spec in DATASETS.values():
        table.add_row(spec.name, spec.summary, str(spec.size), ", ".join(spec.modalities), spec.source)
    console.print(table)


@data_app.command("fetch")
def fetch_data(name: Name) -> None:
    """Fetch a data set into the cache and check it."""
    with console.status(f"Fetching {name}"):
        dataset = load_dataset(name)
    console.print(f"{name}: {len(dataset)} samples, ready.")


@data_app.command("describe")
def describe_data(name: Name) -> None:
    """Print counts and statistics of a data set as JSON."""
    with console.status(f"Loading {name}"):
        summary = describe(load_dataset(name))
    console.print_json(data=summary)


def main() -> None:
    """Run the command line; an error of bogc's own is printed without a traceback, exit status 1."""
    try:
        app()
    except BogcError as error:
        Console(stderr=True).print(
            f"[bold red]{type(error).__name__}[/]: {error}", markup=True, soft_wrap=True
        )
        sys.exit(1)
