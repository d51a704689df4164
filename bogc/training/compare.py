"""Several methods on the same folds and seeds, each tuned with the same budget on validation data."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bogc.checks import check_number
from bogc.data import MultimodalDataset
from bogc.errors import ConfigError, UnsuitableError
from bogc.training import search
from bogc.training.config import TrainConfig
from bogc.training.loop import prepare
from bogc.training.runs import read_fit
from bogc.training.seeding import reproducible
from bogc.training.state import TrainingState


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        base: Everything that the methods share.
        methods: Names of methods, at least one.
        folds: Test folds; at most ``base.folds``.
        seeds: Seeds for each fold.
        budget: Trials for each method and fold, with the first seed; 1: the configured values, no search.

    Raises:
        ConfigError: A method, fold or seed is repeated.
        RangeError: ``budget`` is not positive, or there is no method.
    """

    base: TrainConfig
    methods: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    budget: int

    def __post_init__(self) -> None:
        for name in ("methods", "folds", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ConfigError(name, "must name each once", list(values), "Drop the repetition.")
        check_number("budget", self.budget, self.budget >= 1, "must be at least 1", "1 means no search.")
        named = len(self.methods)
        check_number("methods", named, named > 0, "must name one that suits the network", "See bogc methods.")

    @property
    def fits(self) -> int:
        """Number of runs in all, if none diverges: trials, and the chosen settings with the other seeds."""
        return len(self.methods) * len(self.folds) * (self.budget + len(self.seeds) - 1)

    @property
    def overlap(self) -> float:
        """Test samples for each training sample; one fold of ``base.folds`` tests and one validates."""
        return 1 / (self.base.folds - 2)

    def trials(self) -> list[TrainConfig]:
        """First stage: every method, fold and trial, with the first seed; to be fitted, not tested."""
        return [
            trial for fold in self.folds for method in self.methods for trial in self.trials_of(method, fold)
        ]

    def trials_of(self, method: str, fold: int) -> list[TrainConfig]:
        """Trials of one method on one fold."""
        seeded = replace(self.base, seed=self.seeds[0])
        return search.trials(seeded, method, fold, self.budget)

    def best_trial(self, root: Path, method: str, fold: int) -> TrainConfig | None:
        """Trial with the best validation accuracy, ties broken by lower loss; None if all diverged."""
        scores: dict[TrainConfig, tuple[float, float]] = {}
        for trial in self.trials_of(method, fold):
            fitted = read_fit(root, trial)
            if "diverged" not in fitted:
                scores[trial] = (fitted["validation"]["accuracy"], -fitted["validation"]["nll"])
        return max(scores, key=lambda trial: scores[trial]) if scores else None

    def chosen(self, root: Path) -> list[TrainConfig]:
        """Second stage: for each method and fold, the best trial's settings with every seed, to be tested.

        A method has none on a fold where all its trials diverged.
        """
        best = [self.best_trial(root, method, fold) for fold in self.folds for method in self.methods]
        return [replace(trial, seed=seed) for trial in best if trial is not None for seed in self.seeds]


def unsuitable(config: TrainConfig, methods: Iterable[str], dataset: MultimodalDataset) -> dict[str, str]:
    """Why methods cannot train the network of ``config`` on ``dataset``, by method; the others are absent."""
    train = prepare(config, dataset).train
    found = {}
    for method in methods:
        try:
            with reproducible(config.seed):
                TrainingState.create(replace(config, method=method), train, 1)
        except UnsuitableError as error:
            found[method] = str(error)
    return found
