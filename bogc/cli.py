"""The command line: bogc train | compare | evaluate | methods | data | info."""

import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version as package_version
from pathlib import Path
from types import FrameType
from typing import Annotated, TextIO, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import BogcError, CheckpointError, ConfigError, StoppedError
from bogc.listing import data_app, info, methods
from bogc.methods import METHODS
from bogc.options import check_code, completion, with_config
from bogc.training import TrainConfig, keep_freed_memory, tables
from bogc.training.compare import Comparison, fit_all, has_fit, read_result, run_all, unsuitable
from bogc.training.cost import training_seconds
from bogc.training.loop import best_network, prepare
from bogc.training.loop import train as train_run
from bogc.training.metrics import LatentQuality, predict
from bogc.training.metrics import evaluate as evaluate_model
from bogc.training.metrics import latent_quality as measure_quality
from bogc.training.progress import many_runs, one_run
from bogc.training.spread import CLUSTER_HELP, Workers, launched
from bogc.training.statistics import Interval
from bogc.training.stopping import listening, never
from bogc.training.storage import alone_in, read_json, versions, write_atomically, write_json
from bogc.training.summary import Row, rows, verdict

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(data_app, name="data")
app.command()(info)
app.command()(methods)
console = Console(emoji=False)


def _version(asked: bool) -> None:
    if asked:
        print(package_version("bogc"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Bayesian-oriented gradient calibration for multi-modal learning."""


MOST = 10_000
Number = TypeVar("Number", int, float)

Out = Annotated[Path, typer.Option(help="Folder for the run folders.")]


@app.command()
@with_config
def train(
    config: TrainConfig,
    wait: Annotated[float, typer.Option(help="Seconds to wait for another process, under torchrun.")] = 600.0,
    shard: Annotated[bool, typer.Option(help="Spread the parameters too, under torchrun (FSDP2).")] = False,
    out: Out = Path("runs"),
) -> None:
    """Train one model, going on from its checkpoint if the run was interrupted.

    Under torchrun, each process takes its part of every batch; docs/distributed.md says more. Ctrl-C or
    SIGTERM saves after the step under way and ends with exit status 130 or 143; the same command goes on.

    [bold]Examples[/]

      bogc train
      bogc train --dataset mfeat --method sum --epochs 30
      bogc train --frame reliability --scaling unscaled --seed 3
      bogc train --config my.toml --device cuda --bf16
      bogc train --epochs 20 --extend 10
      torchrun --nproc-per-node 2 -m bogc train
      torchrun --nproc-per-node 2 -m bogc train --shard
    """
    from bogc.training.pictures import draw_run  # matplotlib is slow to import

    folder = out / config.run_name
    warnings.filterwarnings("ignore", "FSDP2-wrapped module")  # of operations in place, which we have none of
    with launched(wait) as team:
        if team.rank > 0:
            team.from_first(None)
            train_run(config, load_dataset(config.dataset), folder, team=team, shard=shard)
            return
        dataset = load_dataset(config.dataset)  # once it is fetched, the others read it
        team.from_first(None)
        title = f"{config.method} on {config.dataset}, fold {config.fold}"
        with one_run(console, title) as listen, listening() as heard:
            # the steps at which processes hear a signal differ: they go on from the last checkpoint
            asked = heard if team.size == 1 else never
            result = train_run(config, dataset, folder, listen, team, asked, shard)
    pictures = draw_run(folder)
    _print_evaluation(f"Test, best epoch {result['best_epoch'] + 1} of {result['epochs']}", result["test"])
    _say(f"Run folder: {folder}\nPictures:   {', '.join(path.name for path in pictures)}")


@app.command()
@with_config
def compare(
    config: TrainConfig,
    methods: Annotated[
        str, typer.Option(help=f"Comma-separated: {', '.join(METHODS)}.", autocompletion=completion(METHODS))
    ] = ",".join(METHODS),
    only_folds: Annotated[str, typer.Option(help="Comma-separated test folds; all if empty.")] = "",
    seeds: Annotated[int, typer.Option(help="Seeds a fold.", min=1, max=MOST)] = 3,
    budget: Annotated[
        int, typer.Option(help="Trials of random search a method and fold; 1: no search.", min=1, max=MOST)
    ] = 8,
    jobs: Annotated[int, typer.Option(help="Local processes; 0: one a core.", min=0, max=MOST)] = 0,
    cluster: Annotated[str, typer.Option(help=CLUSTER_HELP)] = "",
    out: Out = Path("runs/compare"),
) -> None:
    """Compare methods on the same folds and seeds, each with the same tuning budget; finished runs are kept.

    Learning rate and the method's own settings are searched, chosen on validation data and tested once.

    [bold]Examples[/]

      bogc compare --methods joint,bogc --only-folds 0 --seeds 1 --budget 1
      bogc compare --dataset watch --budget 8 --seeds 3
      bogc compare --dataset mfeat --methods sum,bogc --jobs 8 --out runs/mfeat
      bogc compare --cluster tcp://host:8786 --out /shared/runs
    """
    workers = Workers(jobs, cluster)
    folds = tuple(range(config.folds)) if not only_folds else _numbers("only-folds", only_folds, int)
    names = tuple(methods.split(","))
    for name in names:
        METHODS.choose(name)
    for config_of_fold in (replace(config, fold=fold) for fold in folds):
        config_of_fold.torch_device()
    dataset = load_dataset(config.dataset)  # fetches it before processes start
    refused = unsuitable(config, names, dataset)
    suited = tuple(name for name in names if name not in refused)
    plan = Comparison(config, suited, folds, tuple(range(seeds)), budget)
    for name, reason in refused.items():
        _say(f"Left out: {name}: {reason}")
    _print_search(plan)
    with alone_in(out, inside=False):
        _print_duration(plan, dataset, out, 1 if cluster else workers.processes)
        trials = plan.trials()
        with many_runs(console, "tuning", out, trials) as count:
            for _ in fit_all(trials, out, workers):
                count()
        chosen = plan.chosen(out)
        with many_runs(console, "seeds", out, chosen) as count:
            for _ in run_all(chosen, out, workers):
                count()
        _report(plan, out, refused)


def _say(text: str) -> None:
    """Print text as it is: brackets in it are no markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_search(plan: Comparison) -> None:
    """Say before anything runs how much is tried, and what is searched for each method."""
    _say(f"{plan.budget} trial(s) a method and fold, {plan.fits:,} runs in all.")
    if plan.budget > 1:
        for method in plan.methods:
            searched = [f"{name} {text}" for name, text in tables.search_lines(plan, method).items()]
            _say(f"  {method}: {'; '.join(searched)}")


def _print_duration(plan: Comparison, dataset: MultimodalDataset, out: Path, processes: int) -> None:
    """Say about how long what is not fitted yet will take, from a few steps of each method."""
    left = Counter(config.method for config in plan.trials() if not has_fit(out, config))
    later = len(plan.folds) * (len(plan.seeds) - 1)
    if left:
        with console.status("Measuring a step of each method"):
            fits = {method: count + later for method, count in left.items()}
            minutes = training_seconds(dataset, fits, plan.base) / processes / 60
        length = f"{minutes:,.0f} min" if minutes > 1 else "a minute"
        _say(f"About {length} of training on {processes} process(es); validation and pictures come on top.")


def _report(plan: Comparison, out: Path, refused: dict[str, str]) -> None:
    """Print and write the tables, draw the pictures and say where they are."""
    lines = rows(plan, out)
    words, notes = verdict(lines), tables.notes(plan, lines, refused)
    for shown in (tables.main_table(plan, lines), notes, tables.modality_table(lines), words):
        console.print(shown, markup=False, highlight=False)
    parts = [tables.title(plan), tables.markdown(plan, lines), notes, words]
    parts += [tables.modality_markdown(lines), tables.settings_markdown(plan, lines)]
    text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    write_atomically(out / "table.md", lambda file: file.write(text.encode()))
    searched = {method: tables.search_lines(plan, method) for method in plan.methods}
    kept = {"budget": plan.budget, "fits": plan.fits, "search": searched, "left_out": refused}
    kept["versions"] = versions()
    write_json(out / "table.json", kept | {"rows": [asdict(line) for line in lines]})
    _draw(plan, out, lines)


def _draw(plan: Comparison, out: Path, lines: Sequence[Row]) -> None:
    """Draw the pictures and say where all is."""
    from bogc.training.pictures import draw_comparison, draw_run  # matplotlib is slow to import

    runs: dict[str, list[Path]] = {}
    for config in plan.chosen(out):
        if "test" in read_result(out, config):
            runs.setdefault(config.method, []).append(out / config.run_name)
    pictures = draw_comparison(out, lines, runs)
    for folders in runs.values():
        draw_run(folders[0])
    _say(f"Table:    {out / 'table.md'}\nPictures:")
    for path in pictures:
        _say(f"  {path}")
    _say("  and in pictures/ of the first run folder of each method")


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
    latent_quality: Annotated[
        bool, typer.Option(help="Also fit the best heads to frozen features (Huang et al. 2021); seconds.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    dataset: Annotated[str, typer.Option(help="The run's own, repeated; needed where it names code.")] = "",
) -> None:
    """Measure a trained model again on its test fold: scores, heads, probes, missing modalities.

    A run on package.module:function is measured only if --dataset names that function again: it is run.

    [bold]Examples[/]

      bogc evaluate runs/watch-bogc-fold0-seed0-0123456789
      bogc evaluate runs/watch-bogc-fold0-seed0-0123456789 --latent-quality
    """
    if not all(os.path.isfile(folder / name) for name in ("config.json", "best.pt")):
        raise CheckpointError(
            str(folder), "must hold config.json and best.pt", "no such files", "Finish the run first."
        )
    config = replace(TrainConfig.from_mapping(read_json(folder / "config.json")), device=device)
    check_code(config.dataset, dataset, str(folder / "config.json"))
    if dataset not in ("", config.dataset):
        raise ConfigError("dataset", f"must be the run's, {config.dataset!r}", repr(dataset), "Leave it out.")
    parts = prepare(config, load_dataset(config.dataset))
    model = best_network(config, parts, folder)
    _print_evaluation(f"Test of {folder.name}", asdict(evaluate_model(model, parts.train, parts.test)))
    if latent_quality:
        with console.status("Fitting heads to frozen features"):
            seen, unseen = predict(model, parts.train).features, predict(model, parts.test).features
            quality = measure_quality(seen, parts.train.targets, unseen, parts.test.targets)
        _print_quality(quality)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, finished or not, or of a comparison.")],
) -> None:
    """Write report.html into a folder: one page to look through, with all that it needs inside it.

    Needs plotly, which the extra "report" installs.

    [bold]Examples[/]

      bogc report runs/watch-bogc-fold0-seed0-0123456789
      bogc report runs/compare
    """
    from bogc.training.report import write_report

    _say(f"Report: {write_report(folder)}")


def _print_quality(quality: LatentQuality) -> None:
    table = Table(title="Risk of the best head on frozen features, held out; smaller is better")
    for column in ("features of", "head", "error %", "above the best", "log loss", "above the best"):
        table.add_column(column, justify="left" if column in ("features of", "head") else "right")
    for line in quality.rows():
        error, loss = line["zero_one"], line["log_loss"]
        table.add_row(
            Text(", ".join(line["modalities"])),
            line["head"],
            Interval(error["risk"], error["risk_half"]).percent(),
            Interval(error["relative"], error["relative_half"]).percent(),
            str(Interval(loss["risk"], loss["risk_half"])),
            str(Interval(loss["relative"], loss["relative_half"])),
        )
    console.print(table)


def _print_evaluation(title: str, test: dict[str, dict[str, float]]) -> None:
    table = Table(title=Text(title))
    for name in ("prediction", "accuracy", "macro-F1", "NLL", "ECE"):
        table.add_column(name, justify="left" if name == "prediction" else "right")
    fused = test["fused"]
    table.add_row("fused", *(f"{fused[k]:.4f}" for k in ("accuracy", "macro_f1", "nll", "calibration_error")))
    kinds = {"head of": test["unimodal"], "linear probe of": test["probes"], "fused without": test["without"]}
    for kind, values in kinds.items():
        for modality, accuracy in values.items():
            table.add_row(Text(f"{kind} {modality}"), f"{accuracy:.4f}")
    console.print(table)


def main() -> None:
    """Run the command line; what is said of an error is one paragraph without a traceback.

    Exit status 1: an error; 2: a flag that cannot be read; 130 and 143: stopped by Ctrl-C and SIGTERM.
    """
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _terminated)
    warnings.showwarning = _warn
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except StoppedError as error:
        _complain(error)
        sys.exit(128 + signal.Signals[str(error.found)])
    except (BogcError, OSError, MemoryError) as error:
        _complain(error)
        sys.exit(1)


def _complain(error: Exception) -> None:
    text = Text.assemble((type(error).__name__, "bold red"), f": {error}")
    Console(stderr=True, emoji=False).print(text, highlight=False, soft_wrap=True)


def _terminated(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Stopped by SIGTERM. The same command goes on from what is saved.\n")
    sys.exit(128 + number)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"{category.__name__}: {message}", file=sys.stderr)
