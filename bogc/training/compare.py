"""Several methods on the same folds and seeds, each tuned with the same budget on validation data."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import NonFiniteError
from bogc.training.config import TrainConfig
from bogc.training.files import write_json
from bogc.training.loop import train
from bogc.training.pictures import draw_run


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        base: Everything that the methods share.
        methods: Names of methods.
        folds: Test folds; at most ``base.folds``.
        seeds: Seeds for each fold.
        rates: Learning rates tried for each method and fold, with the first seed, by validation accuracy;
            one value means no tuning.
    """

    base: TrainConfig
    methods: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]

    def trials(self) -> list[TrainConfig]:
        """First stage: every method, fold and learning rate, with the first seed."""
        return [
            replace(self.base, method=method, fold=fold, lr=rate, seed=self.seeds[0])
            for fold in self.folds
            for method in self.methods
            for rate in self.rates
        ]

    def chosen(self, root: Path) -> list[TrainConfig]:
        """Second stage: for each method and fold, the best trial's learning rate with every seed.

        Raises:
            NonFiniteError: Training diverged with every learning rate.
        """
        best: dict[tuple[str, int], tuple[float, float, float]] = {}
        for trial in self.trials():
            result = read_result(root, trial)
            if "test" not in result:
                continue
            validation = result["validation"]
            key = (trial.method, trial.fold)
            best[key] = max(
                best.get(key, (-1.0, 0.0, 0.0)), (validation["accuracy"], -validation["nll"], trial.lr)
            )
        for method in self.methods:
            for fold in self.folds:
                if (method, fold) not in best:
                    remedy = "Add a smaller one to --rates."
                    raise NonFiniteError(
                        f"{method} on fold {fold}", "must train with some rate", self.rates, remedy
                    )
        return [
            replace(self.base, method=method, fold=fold, lr=best[method, fold][2], seed=seed)
            for fold in self.folds
            for method in self.methods
            for seed in self.seeds
        ]


def run_all(configs: Iterable[TrainConfig], root: Path, jobs: int) -> Iterator[TrainConfig]:
    """Run what has no result yet, ``jobs`` processes at a time, yielding each config when it has one.

    Each process computes with one thread, so that results do not depend on ``jobs``. A process that is
    killed leaves its checkpoint, and the next call goes on from there.
    """
    pending: list[TrainConfig] = []
    for config in configs:
        if has_result(root, config):
            yield config
        elif config not in pending:
            pending.append(config)
    parallel = Parallel(n_jobs=min(jobs, max(len(pending), 1)), return_as="generator_unordered")
    yield from parallel(delayed(run_one)(config, root) for config in pending)


def run_one(config: TrainConfig, root: Path) -> TrainConfig:
    """Run one config in its folder below ``root``; divergence is a result, any other error is raised."""
    torch.set_num_threads(1)
    folder = root / config.run_name
    try:
        train(config, _dataset(config.dataset), folder)
        draw_run(folder)
    except NonFiniteError as error:
        write_json(folder / "result.json", {"config": config.to_mapping(), "diverged": str(error)})
    return config


@lru_cache(maxsize=1)
def _dataset(reference: str) -> MultimodalDataset:
    return load_dataset(reference)


def has_result(root: Path, config: TrainConfig) -> bool:
    """Say whether the run is finished."""
    return (root / config.run_name / "result.json").exists()


def read_result(root: Path, config: TrainConfig) -> dict[str, Any]:
    """Read result.json of a finished run; it lacks ``test`` if training diverged."""
    result: dict[str, Any] = json.loads((root / config.run_name / "result.json").read_text(encoding="utf-8"))
    return result


def default_jobs() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def by_fold(results: Sequence[dict[str, Any]], folds: Sequence[int], *path: str) -> list[float]:
    """Mean over seeds of the number at ``path`` in the results of each fold that has any."""
    means = []
    for fold in folds:
        values = [_at(result, path) for result in results if result["config"]["fold"] == fold]
        if values:
            means.append(sum(values) / len(values))
    return means


def _at(result: dict[str, Any], path: Sequence[str]) -> float:
    value: Any = result
    for key in path:
        value = value[key]
    return float(value)
