"""Run folders below one root: what is finished, what it says, and carrying out the rest in parallel."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import ClusterError, NonFiniteError
from bogc.training.config import TrainConfig
from bogc.training.files import write_json
from bogc.training.loop import evaluate_best, fit, prepare
from bogc.training.spread import Workers, spread

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
    return _read(root / config.run_name / "fit.json")


def read_result(root: Path, config: TrainConfig) -> dict[str, Any]:
    """Read result.json of a finished run; it lacks ``test`` if training diverged."""
    return _read(root / config.run_name / "result.json")


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


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
