"""Several methods on the same folds and seeds, each tuned with the same budget on validation data."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import numpy as np

from bogc.checks import check_number
from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import ClusterError, ConfigError, NonFiniteError, UnsuitableError
from bogc.methods import METHODS, TABLES
from bogc.methods.search import Distribution
from bogc.training.config import TrainConfig
from bogc.training.loop import evaluate_best, fit, prepare
from bogc.training.spread import Workers, spread
from bogc.training.state import TrainingState, reproducible
from bogc.training.storage import read_json, write_json


def search_space(base: TrainConfig, method: str) -> dict[str, Distribution]:
    """What is searched for ``method``, by dotted name: the settings that all methods share, then its own."""
    table = METHODS[method].table
    own = _searched(TABLES[table]) if table else {}
    return _searched(TrainConfig) | {f"{table}.{name}": found for name, found in own.items()}


def stratified(count: int, seed: int, column: int) -> list[float]:
    """One column of a Latin hypercube sample: a number in each of ``count`` equal parts of [0, 1), shuffled.

    Columns are independent, and each is a function of ``seed`` and its number alone: more columns leave
    those before them as they are.
    """
    # RandomState, because its stream never changes: an interrupted search goes on under every numpy.
    generator = np.random.RandomState([seed, column])
    sample = (generator.permutation(count) + generator.random_sample(count)) / count
    return [float(q) for q in np.minimum(sample, np.nextafter(1, 0))]


def search_trials(base: TrainConfig, method: str, fold: int, budget: int) -> list[TrainConfig]:
    """Configurations to be tried for ``method`` on ``fold``; the configured one alone if ``budget`` is 1.

    The sample is seeded by the fold only: trial i has the same learning rate for every method. With a
    greater budget than 1 the configured values of searched settings are not among the trials.
    """
    config = replace(base, method=method, fold=fold)
    if budget == 1:
        return [config]
    space = search_space(base, method)
    columns = {
        setting: [distribution.at(q) for q in stratified(budget, fold, column)]
        for column, (setting, distribution) in enumerate(space.items())
    }
    return [config.altered({s: values[i] for s, values in columns.items()}) for i in range(budget)]


def settings_of(config: TrainConfig, space: Iterable[str]) -> dict[str, Any]:
    """Values in ``config`` of what was searched, by dotted name."""
    return {setting: attrgetter(setting)(config) for setting in space}


def _searched(table: type) -> dict[str, Distribution]:
    found = {field.name: field.metadata.get("search") for field in fields(table)}
    return {name: distribution for name, distribution in found.items() if distribution is not None}


ARRIVAL_SECONDS: Final = 30.0  # a file system that is shared may show a new file late


def fit_one(config: TrainConfig, root: Path) -> TrainConfig:
    """Fit one config unless it is fitted; divergence is an outcome, any other error is raised."""
    if has_fit(root, config):
        return config
    folder = root / config.run_name
    try:
        fit(config, prepare(config, _dataset(config.dataset)), folder)
    except NonFiniteError as error:
        outcome = {"config": config.to_mapping(), "digest": config.digest, "diverged": str(error)}
        write_json(folder / "fit.json", outcome)
    return config


def run_one(config: TrainConfig, root: Path) -> TrainConfig:
    """Fit one config unless it is fitted, and test it once."""
    fit_one(config, root)
    fitted = read_fit(root, config)
    if "diverged" in fitted:
        write_json(root / config.run_name / "result.json", fitted)
    else:
        evaluate_best(config, prepare(config, _dataset(config.dataset)), root / config.run_name)
    return config


def fit_all(configs: Iterable[TrainConfig], root: Path, workers: Workers) -> Iterator[TrainConfig]:
    """Fit what is not fitted yet, several at a time, yielding each config when it is.

    Results do not depend on ``workers``. A process that is killed leaves its checkpoint, from which another
    goes on, or the next call.

    Raises:
        BogcError: See :func:`bogc.training.spread.spread`; runs are called by their folder's name.
        ClusterError: A worker's run left nothing below ``root``.
    """
    return _all(fit_one, has_fit, configs, root, workers)


def run_all(configs: Iterable[TrainConfig], root: Path, workers: Workers) -> Iterator[TrainConfig]:
    """Fit and test what has no result yet; otherwise as ``fit_all``."""
    return _all(run_one, has_result, configs, root, workers)


def has_fit(root: Path, config: TrainConfig) -> bool:
    """Say whether the run is fitted, or has diverged."""
    return (root / config.run_name / "fit.json").exists()


def has_result(root: Path, config: TrainConfig) -> bool:
    """Say whether the run is finished: fitted and tested, or diverged."""
    return (root / config.run_name / "result.json").exists()


def read_fit(root: Path, config: TrainConfig) -> dict[str, Any]:
    """Read fit.json: ``validation`` scores, or ``diverged``."""
    return read_json(root / config.run_name / "fit.json")


def read_result(root: Path, config: TrainConfig) -> dict[str, Any]:
    """Read result.json of a finished run; it lacks ``test`` if training diverged."""
    return read_json(root / config.run_name / "result.json")


def _all(
    work: Callable[..., TrainConfig],
    done: Callable[[Path, TrainConfig], bool],
    configs: Iterable[TrainConfig],
    root: Path,
    workers: Workers,
) -> Iterator[TrainConfig]:
    pending: dict[str, TrainConfig] = {}
    for config in dict.fromkeys(configs):
        if done(root, config):
            yield config
        else:
            pending[config.run_name] = config
    for name, config in spread(partial(work, root=root.resolve()), pending, workers, shared=root):
        _await(lambda config=config: done(root, config), name, root)  # type: ignore[misc]
        yield config


def _await(arrived: Callable[[], bool], name: str, root: Path) -> None:
    """Wait for what a run on another machine has written.

    Raises:
        ClusterError: It does not come.
    """
    given_up = time.monotonic() + ARRIVAL_SECONDS
    while not arrived():
        if time.monotonic() > given_up:
            rule = f"must leave its files below {root.resolve()}"
            found = f"none after {ARRIVAL_SECONDS:g} s"
            remedy = "Put --out on a file system that every worker mounts there."
            raise ClusterError(f"run {name}", rule, found, remedy)
        time.sleep(0.1)


@lru_cache(maxsize=1)
def _dataset(reference: str) -> MultimodalDataset:
    return load_dataset(reference)


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
        if self.base.extend:
            raise ConfigError("extend", "must be 0 in a comparison", self.base.extend, "Raise --epochs.")
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
        return search_trials(seeded, method, fold, self.budget)

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
