"""One run: train, choose the epoch on validation data, and test if asked."""

import math
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import NonFiniteError
from bogc.training.config import TrainConfig
from bogc.training.loop import Parts, fit, prepare
from bogc.training.metrics import predict, score
from bogc.training.state import build_network, reproducible
from bogc.training.storage import load_checkpoint
from paper_repro.bogc_mml.config import FOLDS, Task


@dataclass(frozen=True)
class Outcome:
    """Accuracies as shares; all are 0 after a divergence, which is an outcome too.

    Attributes:
        validation: Of the best epoch.
        test: With all modalities.
        without: With each modality removed.
        validation_nll: Mean negative log-likelihood of the best epoch.
        nll: On test data.
    """

    validation: float
    test: float = 0.0
    without: tuple[tuple[str, float], ...] = ()
    validation_nll: float = math.inf
    nll: float = math.inf


def base_config(task: Task, fold: int, rate: float, features: int) -> TrainConfig:
    """What all methods share; records are kept to one an epoch."""
    return TrainConfig(
        dataset=task.dataset,
        fold=fold,
        folds=FOLDS,
        seed=fold,
        epochs=task.epochs,
        lr=rate,
        features=features,
        device="cpu",
        log_every=1_000_000,
    )


def parts_of(config: TrainConfig) -> Parts:
    """Standardised training, validation and test data of the config's fold."""
    return prepare(config, _dataset(config.dataset))


def validate(config: TrainConfig, parts: Parts) -> Outcome:
    """Train; the test part is not looked at."""
    with tempfile.TemporaryDirectory() as folder:
        found = _fitted(config, parts, Path(folder))
    return Outcome(0.0) if found is None else Outcome(found["accuracy"], validation_nll=found["nll"])


def validate_and_test(config: TrainConfig, parts: Parts) -> Outcome:
    """Train, and test the best epoch."""
    with tempfile.TemporaryDirectory() as folder:
        validation = _fitted(config, parts, Path(folder))
        if validation is None:
            return Outcome(0.0)
        with reproducible(config.seed):
            model = build_network(config, parts.train)
        model.load_state_dict(load_checkpoint(Path(folder) / "best.pt", config.digest)["model"])
    test = parts.test
    removed = [(m, score(predict(model, test, m).fused, test.targets).accuracy) for m in test.modalities]
    tested = score(predict(model, test).fused, test.targets)
    return Outcome(validation["accuracy"], tested.accuracy, tuple(removed), validation["nll"], tested.nll)


def _fitted(config: TrainConfig, parts: Parts, folder: Path) -> dict[str, float] | None:
    """Validation accuracy and loss of the best epoch; None if training diverged."""
    torch.set_num_threads(1)
    try:
        return dict(fit(config, parts, folder)["validation"])
    except NonFiniteError:
        return None


@lru_cache(maxsize=1)
def _dataset(reference: str) -> MultimodalDataset:
    return load_dataset(reference)
