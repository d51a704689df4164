"""The experiment: which runs there are, and which published numbers they speak about."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from bogc.data.folders.crema_d import FOLDER, read_crema_d
from bogc.data.folders.location import folder_named_by
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.fitting import JOINT, OGM_GE, Epoch, Parts, fit
from paper_repro.experiment import Experiment, Series, Task

RELEASED = ((JOINT, "concat"), (OGM_GE, "concat"), (OGM_GE, "sum"))
VALIDATED = ((JOINT, "concat"), (OGM_GE, "concat"))


def tasks(config: AudioVisualConfig) -> Mapping[str, Task]:
    """Name every run; each is independent of the others."""
    found: dict[str, Task] = {}
    protocols: list[tuple[str, tuple[tuple[str, str], ...], Callable[..., dict[str, float]]]] = [
        ("released", RELEASED, run_released),
        ("validated", VALIDATED, run_validated),
    ]
    for protocol, methods, run in protocols:
        for method, fusion in methods:
            for seed in range(config.seeds):
                found[f"{protocol}, {method}, {fusion}, seed {seed}"] = partial(
                    run, config, method, fusion, seed
                )
    return found


def run_released(config: AudioVisualConfig, method: str, fusion: str, seed: int) -> dict[str, float]:
    """Train on the released training part; its code reports the epoch that is best on the test part."""
    folder = folder_named_by(FOLDER)
    train, test = (read_crema_d(folder, part, config.frames, config.side) for part in ("train", "test"))
    epochs = fit(Parts(train, None, test), config, method, fusion, seed)
    best = max(epoch.test for epoch in epochs)
    return {f"released, {method}, {fusion}": best, f"last epoch, {method}, {fusion}": epochs[-1].test}


def run_validated(config: AudioVisualConfig, method: str, fusion: str, seed: int) -> dict[str, float]:
    """Choose the epoch on clips of the training part that are not trained on, and test it once."""
    parts = held_out(folder_named_by(FOLDER), config, seed)
    epochs = fit(parts, config, method, fusion, seed)
    return {f"validated, {method}, {fusion}": chosen(epochs).test}


def held_out(folder: Path, config: AudioVisualConfig, seed: int) -> Parts:
    """Part the released training clips at random by the seed; at least one goes to either part."""
    train, test = (read_crema_d(folder, part, config.frames, config.side) for part in ("train", "test"))
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    kept = min(max(1, round(len(train) * (1 - config.held_out))), len(train) - 1)
    return Parts(train.subset(order[:kept]), train.subset(order[kept:]), test)


def chosen(epochs: list[Epoch]) -> Epoch:
    """Return the epoch that is best on the validation clips; of several, the first."""
    return max(epochs, key=lambda epoch: epoch.validation)


def _series(method: str, fusion: str, row: str) -> tuple[Series, Series]:
    name = f"{method}, {fusion} fusion"
    return (
        Series(f"released, {method}, {fusion}", f"{name}; released protocol, best epoch on test", row=row),
        Series(f"last epoch, {method}, {fusion}", f"{name}; the same runs after the last epoch"),
    )


EXPERIMENT = Experiment(
    name="ogm-ge-crema-d",
    folder="audiovisual",
    title="OGM-GE on CREMA-D, voice and face",
    paper="Peng et al. 2022, arXiv 2203.15332",
    unit="accuracy, percent",
    full=AudioVisualConfig(),
    quick=AudioVisualConfig(epochs=1, batch_size=8, seeds=1, held_out=0.5, side=32),
    tasks=tasks,
    hours="25 runs of 100 epochs, on data that must be got first; not timed yet",
    series=(
        *_series(JOINT, "concat", "ogm-ge-crema-d-concat-baseline"),
        *_series(OGM_GE, "concat", "ogm-ge-crema-d-concat-ogm-ge"),
        *_series(OGM_GE, "sum", "ogm-ge-crema-d-sum-ogm-ge"),
        *(
            Series(
                f"validated, {method}, {fusion}",
                f"{method}, {fusion} fusion; a tenth of the training clips chooses the epoch",
            )
            for method, fusion in VALIDATED
        ),
    ),
)
