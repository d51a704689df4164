"""The abstract's claims as a comparison: is bogc better than its peers, also where gradients are noisy?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from bogc.data import MultimodalDataset
from bogc.training.config import TrainConfig
from paper_repro.bogc_mml.conditions import flip_labels, shuffle_modality
from paper_repro.bogc_mml.config import TINY, ClaimsConfig, Design, Task
from paper_repro.bogc_mml.training import Outcome, base_config, parts_of, validate_and_test
from paper_repro.experiment import Experiment
from paper_repro.experiment import Task as Run

METHODS: Final = ("joint", "sum", "inverse-variance", "ogm-ge", "cggm", "mmpareto", "mimo", "bogc")
CLEAN: Final = "clean"
LABELS: Final = "label noise"
MODALITY: Final = "one noisy modality"
SMALL: Final = "small batches"
CONDITIONS: Final = (CLEAN, LABELS, MODALITY, SMALL)
MISSING: Final = "one modality missing"


def tasks(config: ClaimsConfig) -> Mapping[str, Run]:
    """One run a data set, condition and fold."""
    return {
        f"{task.dataset}, {condition}, fold {fold}": partial(run_fold, config, task, condition, fold)
        for task in config.design.tasks
        for condition in CONDITIONS
        for fold in range(config.design.folds)
    }


def run_fold(config: ClaimsConfig, task: Task, condition: str, fold: int) -> dict[str, float]:
    """Every method at every learning rate; the one with the better validation accuracy is tested.

    Trained on clean data, each is also tested with one modality removed, the one that costs it most.
    """
    values: dict[str, float] = {}
    for method in METHODS:
        found = max(
            (_outcome(config, task, condition, fold, method, rate) for rate in config.design.rates),
            key=lambda outcome: outcome.validation,
        )
        values[key(task.dataset, condition, method)] = found.test
        if condition == CLEAN:
            least = min((share for _, share in found.without), default=0.0)
            values[key(task.dataset, MISSING, method)] = least
    return values


def key(dataset: str, condition: str, method: str) -> str:
    """Name of a test accuracy."""
    return f"{dataset}, {condition}: {method}"


def spoilt(config: ClaimsConfig, task: Task, condition: str, seed: int) -> Callable[..., MultimodalDataset]:
    """What the condition does to the training part."""
    if condition == LABELS:
        return partial(flip_labels, share=config.flipped, seed=seed)
    if condition == MODALITY:
        return partial(shuffle_modality, modality=task.noisy, share=config.shuffled, seed=seed)
    return lambda data: data


def _outcome(
    config: ClaimsConfig, task: Task, condition: str, fold: int, method: str, rate: float
) -> Outcome:
    base: TrainConfig = replace(base_config(task, fold, rate, config.design.features), method=method)
    if condition == SMALL:
        base = replace(base, batch_size=config.small)
    parts = parts_of(base)
    train = spoilt(config, task, condition, seed=fold)(parts.train)
    return validate_and_test(base, replace(parts, train=train))


EXPERIMENT: Final = Experiment(
    name="bogc-claims",
    folder="bogc_mml/claims",
    title="The claims of BOGC-MML's abstract",
    paper="arXiv 2505.23071, of which only the abstract was read",
    unit="test accuracy, a share",
    full=ClaimsConfig(),
    quick=ClaimsConfig(Design((TINY,), 1, (0.06,), features=8)),
    tasks=tasks,
    hours="16 runs, about 25 minutes of CPU; the same command resumes",
    series=(),
)
