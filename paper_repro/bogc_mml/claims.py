"""Does calibrating by uncertainty help training? The comparison that PROTOCOL.md fixes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bogc.checks import check_number
from bogc.data import MultimodalDataset
from paper_repro.bogc_mml.conditions import flip_labels, shuffle_modality
from paper_repro.bogc_mml.config import FOLDS, SYNTHETIC, TASKS, TINY, Task
from paper_repro.bogc_mml.contestants import CONTESTANTS
from paper_repro.bogc_mml.controls import controls
from paper_repro.bogc_mml.training import base_config, parts_of, validate_and_test
from paper_repro.experiment import Experiment
from paper_repro.experiment import Task as Run

CLEAN: Final = "clean"
LABELS: Final = "wrong labels, small batches"
MODALITY: Final = "one noisy modality"
CONDITIONS: Final = (CLEAN, LABELS, MODALITY)
OPTIMISERS: Final = ("sgd", "adamw")


@dataclass(frozen=True)
class ClaimsConfig:
    """The comparison.

    Attributes:
        tasks: Data sets.
        folds: The first so many of five are tested on; the seed of a run is the number of its fold.
        trials: Configurations that every contestant tries in every cell; the best on validation is tested.
        features: Width of each encoder's output.
        flipped: Share of training labels that become another class.
        shuffled: Share of training samples whose noisy modality is that of another sample.
        small: The small batch; epochs are fewer in proportion, but at least one.

    Raises:
        RangeError: A number is out of range.
    """

    tasks: tuple[Task, ...] = (*TASKS, SYNTHETIC)
    folds: int = FOLDS
    trials: int = 4
    features: int = 32
    flipped: float = 0.4
    shuffled: float = 0.7
    small: int = 16

    def __post_init__(self) -> None:
        check_number("folds", self.folds, 1 <= self.folds <= FOLDS, f"must lie in 1 .. {FOLDS}", "Use 5.")
        check_number("trials", self.trials, self.trials >= 1, "must be at least 1", "Use 4.")
        for name in ("flipped", "shuffled"):
            value = getattr(self, name)
            check_number(name, value, 0 < value <= 1, "must lie in (0, 1]", "Use 0.4.")
        check_number("small", self.small, self.small >= 2, "must be at least 2", "Use 16.")


@dataclass(frozen=True)
class Cell:
    """Where contestants meet: all of them on the same data with the same budget."""

    task: Task
    condition: str
    optimiser: str
    fold: int

    @property
    def name(self) -> str:
        """The cell in names of runs and values, without its fold."""
        return f"{self.task.dataset}, {self.condition}, {self.optimiser}"


def tasks(config: ClaimsConfig) -> Mapping[str, Run]:
    """One run a cell and contestant: fold by fold, so that what is finished is balanced at any time.

    The first two conditions come before the third, and slow contestants after all others.
    """
    found: dict[str, Run] = {}
    for slow, conditions in ((False, CONDITIONS[:2]), (False, CONDITIONS[2:]), (True, CONDITIONS)):
        names = [name for name, contestant in CONTESTANTS.items() if contestant.slow == slow]
        for cell in _cells(config, conditions):
            for name in names:
                found[f"{cell.name}, fold {cell.fold}: {name}"] = partial(run_cell, config, cell, name)
    return found


def _cells(config: ClaimsConfig, conditions: tuple[str, ...]) -> Iterator[Cell]:
    for fold in range(config.folds):
        for condition in conditions:
            for task in config.tasks:
                for optimiser in OPTIMISERS:
                    yield Cell(task, condition, optimiser, fold)


def key(cell: str, contestant: str, measure: str) -> str:
    """Name of a value, such as ``"watch, clean, sgd: plain sum, accuracy"``."""
    return f"{cell}: {contestant}, {measure}"


def run_cell(config: ClaimsConfig, cell: Cell, contestant: str) -> dict[str, float]:
    """Every trial of one contestant in a cell; the one with the best validation accuracy is tested.

    Trained on clean data, it is also tested with one modality removed, the one that costs it most.
    """
    with controls():
        base = base_config(cell.task, cell.fold, 1.0, config.features)
        base = replace(base, optimiser=cell.optimiser)
        if cell.condition == LABELS:
            epochs = max(1, round(cell.task.epochs * config.small / base.batch_size))
            base = replace(base, batch_size=config.small, epochs=epochs)
        parts = parts_of(base)
        parts = replace(parts, train=spoilt(config, cell, parts.train))
        trials = CONTESTANTS[contestant].trials(base, config.trials, seed=cell.fold)
        outcomes = [validate_and_test(trial, parts) for trial in trials]
    best = max(outcomes, key=lambda outcome: (outcome.validation, -outcome.validation_nll))
    values = {"accuracy": best.test, "validation": best.validation}
    if math.isfinite(best.nll):
        values["nll"] = best.nll
    if cell.condition == CLEAN:
        values["missing"] = min((share for _, share in best.without), default=0.0)
    return {key(cell.name, contestant, measure): value for measure, value in values.items()}


def spoilt(config: ClaimsConfig, cell: Cell, train: MultimodalDataset) -> MultimodalDataset:
    """What the condition does to the training part, seeded by the fold."""
    if cell.condition == LABELS:
        return flip_labels(train, config.flipped, cell.fold)
    if cell.condition == MODALITY:
        return shuffle_modality(train, cell.task.noisy, config.shuffled, cell.fold)
    return train


EXPERIMENT: Final = Experiment(
    name="bogc-claims",
    folder="bogc_mml/claims",
    title="Does calibration by uncertainty help training?",
    paper="arXiv 2505.23071, of which only the abstract was read",
    unit="test accuracy, a share",
    full=ClaimsConfig(),
    quick=ClaimsConfig((TINY,), folds=1, trials=1, features=8),
    tasks=tasks,
    hours="2,700 runs, about 6 hours of CPU; the same command resumes",
    series=(),
)
