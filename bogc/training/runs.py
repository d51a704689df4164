"""Run folders below one root: what is finished, what it says, and carrying out the rest in parallel."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import NonFiniteError
from bogc.training.config import TrainConfig
from bogc.training.files import write_json
from bogc.training.loop import evaluate_best, fit, prepare


def fit_one(config: TrainConfig, root: Path) -> TrainConfig:
    """Fit one config in its folder below ``root``; divergence is an outcome, any other error is raised."""
    torch.set_num_threads(1)
    folder = root / config.run_name
    try:
        fit(config, prepare(config, _dataset(config.dataset)), folder)
    except NonFiniteError as error:
        outcome = {"config": config.to_mapping(), "digest": config.digest, "diverged": str(error)}
        write_json(folder / "fit.json", outcome)
    return config


def run_one(config: TrainConfig, root: Path) -> TrainConfig:
    """Fit one config unless it is fitted, and test it once."""
    if not has_fit(root, config):
        fit_one(config, root)
    fitted = read_fit(root, config)
    if "diverged" in fitted:
        write_json(root / config.run_name / "result.json", fitted)
    else:
        torch.set_num_threads(1)
        evaluate_best(config, prepare(config, _dataset(config.dataset)), root / config.run_name)
    return config


def fit_all(configs: Iterable[TrainConfig], root: Path, jobs: int) -> Iterator[TrainConfig]:
    """Fit what is not fitted yet, ``jobs`` processes at a time, yielding each config when it is.

    Each process computes with one thread, so that results do not depend on ``jobs``. A process that is
    killed leaves its checkpoint, and the next call goes on from there.
    """
    return _all(fit_one, has_fit, configs, root, jobs)


def run_all(configs: Iterable[TrainConfig], root: Path, jobs: int) -> Iterator[TrainConfig]:
    """Fit and test what has no result yet; otherwise as ``fit_all``."""
    return _all(run_one, has_result, configs, root, jobs)


def has_fit(root: Path, config: TrainConfig) -> bool:
    """Say whether the run is fitted, or has diverged."""
    return (root / config.run_name / "fit.json").exists()


def has_result(root: Path, config: TrainConfig) -> bool:
    """Say whether the run is finished: fitted and tested, or diverged."""
    return (root / config.run_name / "result.json").exists()


def read_fit(root: Path, config: TrainConfig) -> dict[str, Any]:
    """Read fit.json: ``validation`` scores, or ``diverged``."""
    return _read(root / config.run_name / "fit.json")


def read_result(root: Path, config: TrainConfig) -> dict[str, Any]:
    """Read result.json of a finished run; it lacks ``test`` if training diverged."""
    return _read(root / config.run_name / "result.json")


def default_jobs() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _all(
    work: Callable[[TrainConfig, Path], TrainConfig],
    done: Callable[[Path, TrainConfig], bool],
    configs: Iterable[TrainConfig],
    root: Path,
    jobs: int,
) -> Iterator[TrainConfig]:
    pending: list[TrainConfig] = []
    for config in dict.fromkeys(configs):
        if done(root, config):
            yield config
        else:
            pending.append(config)
    parallel = Parallel(n_jobs=min(jobs, max(len(pending), 1)), return_as="generator_unordered")
    yield from parallel(delayed(work)(config, root) for config in pending)


@lru_cache(maxsize=1)
def _dataset(reference: str) -> MultimodalDataset:
    return load_dataset(reference)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
