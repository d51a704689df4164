"""Live progress on the terminal: of one run in this process, or of many in others."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bogc.training.config import TrainConfig
from bogc.training.loop import Listener
from bogc.training.loop import Progress as Position
from bogc.training.storage import last_records

POLL_SECONDS = 0.5


def bars(console: Console) -> Progress:
    """Bar, count, status, elapsed time and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def status(loss: float | None, accuracy: float | None) -> str:
    """One phrase with the current loss and the best validation accuracy."""
    parts = [f"loss {loss:.3f}" if loss is not None else "", f"val acc {accuracy:.3f}" if accuracy else ""]
    return "  ".join(part for part in parts if part)


@contextmanager
def one_run(console: Console, name: str) -> Iterator[Listener]:
    """Yield a listener that moves the bar of the run that ``train`` carries out in this process."""
    with bars(console) as progress:
        task = progress.add_task(escape(name), total=None, status="")

        def listen(position: Position) -> None:
            progress.update(
                task,
                completed=position.step,
                total=position.steps,
                status=status(
                    position.loss, position.validation_accuracy if position.validation_accuracy >= 0 else None
                ),
            )

        yield listen


@contextmanager
def many_runs(
    console: Console, title: str, root: Path, configs: Sequence[TrainConfig]
) -> Iterator[Callable[[], None]]:
    """Show a bar for all ``configs`` and a line for each under way; yields a function that counts one.

    Runs go on in other processes: their records on disk are what is shown.
    """
    with bars(console) as progress:
        total = progress.add_task(f"[bold]{escape(title)}", total=len(configs), status="runs")
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(progress, root, configs, stop), daemon=True)
        watcher.start()
        try:
            yield lambda: progress.advance(total)
        finally:
            stop.set()
            watcher.join()


def _watch(progress: Progress, root: Path, configs: Sequence[TrainConfig], stop: threading.Event) -> None:
    lines: dict[str, TaskID] = {}
    while not stop.wait(POLL_SECONDS):
        for config in configs:
            folder = root / config.run_name
            name = f"  {config.method} fold {config.fold} seed {config.seed} lr {config.lr:g}"
            if (folder / "fit.json").exists():
                if name in lines:
                    progress.remove_task(lines.pop(name))
            elif (folder / "records.jsonl").exists():
                if name not in lines:
                    lines[name] = progress.add_task(escape(name), total=config.last_epoch, status="")
                _show(progress, lines[name], last_records(folder / "records.jsonl"))


def _show(progress: Progress, task: TaskID, records: dict[str, dict[str, Any]]) -> None:
    """Update one line from the last record of each kind."""
    epoch, step = records.get("epoch"), records.get("step")
    progress.update(
        task,
        completed=epoch["epoch"] + 1 if epoch else 0,
        status=status(
            step["losses"]["fusion"] if step else None, epoch["validation"]["accuracy"] if epoch else None
        ),
    )
