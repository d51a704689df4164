"""The experiments: which runs there are, and which published numbers they speak about."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import torch

from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.fitting import Epoch, Parts, fit
from paper_repro.audiovisual.sources import Source
from paper_repro.audiovisual.studies import STUDIES, Arm, Study
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.readers.files import folder_named_by


def tasks(study: Study, config: AudioVisualConfig) -> Mapping[str, Task]:
    """Name every run; each is independent of the others."""
    found: dict[str, Task] = {}
    validated = tuple(arm for arm in study.arms if arm.validated)
    protocols = [("released", study.arms, run_released), ("validated", validated, run_validated)]
    for protocol, arms, run in protocols:
        for arm in arms:
            for seed in range(config.seeds):
                name = f"{protocol}, {arm.method}, {arm.fusion}, seed {seed}"
                found[name] = partial(run, study.data, config, arm, seed)
    return found


def run_released(data: Source, config: AudioVisualConfig, arm: Arm, seed: int) -> dict[str, float]:
    """Train on the released training part; the codes report the epoch that is best on the test part."""
    epochs = fit(released(data, config), config, arm.method, arm.fusion, seed)
    best = max(epoch.test for epoch in epochs)
    return {f"released, {_key(arm)}": best, f"last epoch, {_key(arm)}": epochs[-1].test}


def run_validated(data: Source, config: AudioVisualConfig, arm: Arm, seed: int) -> dict[str, float]:
    """Choose the epoch on clips that are neither trained on nor tested, and test it once."""
    epochs = fit(held_out(data, config, seed), config, arm.method, arm.fusion, seed)
    return {f"validated, {_key(arm)}": chosen(epochs).test}


def released(data: Source, config: AudioVisualConfig) -> Parts:
    """Read the folder that the source's environment variable names; the test clips choose the epoch.

    Raises:
        ConfigError: The variable does not name a folder.
        DataError: The folder is not as the source's adapter says.
    """
    folder = folder_named_by(data.variable)
    train, test = (data.read(folder, part, config) for part in ("train", "test"))
    return Parts(data.channels, train, None, test, _weights(folder, config))


def held_out(data: Source, config: AudioVisualConfig, seed: int) -> Parts:
    """As above, with other clips to choose the epoch by.

    These are the data set's own validation part; where it has none, a share of the training part at random by
    the seed, of which at least one clip goes to either side.
    """
    parts = released(data, config)
    if data.validation:
        other = data.read(folder_named_by(data.variable), data.validation, config)
        return Parts(parts.channels, parts.train, other, parts.test, parts.weights)
    train = parts.train
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    kept = min(max(1, round(len(train) * (1 - config.held_out))), len(train) - 1)
    part, other = train.subset(order[:kept]), train.subset(order[kept:])
    return Parts(parts.channels, part, other, parts.test, parts.weights)


def chosen(epochs: list[Epoch]) -> Epoch:
    """Return the epoch that is best on the validation clips; of several, the first."""
    return max(epochs, key=lambda epoch: epoch.validation)


def experiment(study: Study) -> Experiment:
    """Make the experiment of one line of the table."""
    runs = len(tasks(study, study.config))
    return Experiment(
        name=study.name,
        folder=study.folder,
        title=study.title,
        paper=study.paper,
        unit="accuracy, percent",
        full=study.config,
        quick=study.quick,
        tasks=partial(tasks, study),
        series=tuple(series for arm in study.arms for series in _series(study, arm)),
        hours=f"{runs} runs of {study.config.epochs} epochs, on data that must be got first; not timed yet",
    )


def _key(arm: Arm) -> str:
    return f"{arm.method}, {arm.fusion}"


def _weights(folder: Path, config: AudioVisualConfig) -> Path | None:
    return folder / config.pretrained if config.pretrained else None


def _series(study: Study, arm: Arm) -> list[Series]:
    name, row = f"{arm.method}, {arm.fusion} fusion", arm.row or None
    found = [
        Series(f"released, {_key(arm)}", f"{name}; released protocol, best epoch on test", row=row),
        Series(f"last epoch, {_key(arm)}", f"{name}; the same runs after the last epoch"),
    ]
    if arm.validated:
        share = "a tenth of the training clips" if not study.data.validation else "the validation part"
        found.append(Series(f"validated, {_key(arm)}", f"{name}; {share} chooses the epoch"))
    return found


AUDIO_VISUAL: Final[dict[str, Experiment]] = {study.name: experiment(study) for study in STUDIES}
"""Name to experiment."""
