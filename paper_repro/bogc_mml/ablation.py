"""The ablation, on validation data: which choices of bogc matter, and which to make its defaults."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Final

from bogc.methods import CalibrationSettings
from bogc.training.config import TrainConfig
from paper_repro.bogc_mml.config import TINY, AblationConfig, Design, Task
from paper_repro.bogc_mml.training import base_config, parts_of, validate
from paper_repro.bogc_mml.variants import BASE_NAME, FACTORS, combinations, combined, name_of, single
from paper_repro.experiment import Experiment
from paper_repro.experiment import Task as Run

SUM: Final = "plain sum"
INVERSE_VARIANCE: Final = "inverse variance"


def tasks(config: AblationConfig) -> Mapping[str, Run]:
    """One run a data set, fold and, in the full design, posterior and evidence map."""
    found: dict[str, Run] = {
        f"single, {task.dataset}, fold {fold}": partial(run_single, config, task, fold)
        for task, fold in _cells(config.single)
    }
    return found if config.factorial is None else found | _factorial(config.factorial)


def _factorial(design: Design) -> dict[str, Run]:
    return {
        f"factorial, {task.dataset}, fold {fold}, {posterior}, {evidence}": partial(
            run_factorial, design, task, fold, posterior, evidence
        )
        for task, fold in _cells(design)
        for posterior, evidence in product(FACTORS["posterior"], FACTORS["evidence"])
    }


def run_single(config: AblationConfig, task: Task, fold: int) -> dict[str, float]:
    """Every variant, and the comparators, on one fold: validation accuracy."""
    variants = {name: single(name) for name in config.variants}
    return _compared(config.single, task, fold, variants) | _comparators(config.single, task, fold)


def run_factorial(design: Design, task: Task, fold: int, posterior: str, evidence: str) -> dict[str, float]:
    """The combinations of one posterior and evidence map, and the plain sum beside them."""
    chosen = [levels for levels in combinations() if levels[:2] == (posterior, evidence)]
    variants = {name_of(levels): combined(levels) for levels in chosen}
    return _compared(design, task, fold, variants) | _comparators(design, task, fold, (SUM,))


def key(dataset: str, variant: str) -> str:
    """Name of the accuracy of a variant on a data set."""
    return f"{dataset}: {variant}"


def _cells(design: Design) -> list[tuple[Task, int]]:
    return [(task, fold) for task in design.tasks for fold in range(design.folds)]


def _compared(
    design: Design, task: Task, fold: int, variants: Mapping[str, CalibrationSettings]
) -> dict[str, float]:
    return {
        key(task.dataset, name): _best(design, task, fold, TrainConfig(settings={"calibration": settings}))
        for name, settings in variants.items()
    }


def _comparators(
    design: Design, task: Task, fold: int, names: tuple[str, ...] = (SUM, INVERSE_VARIANCE)
) -> dict[str, float]:
    methods = {SUM: "sum", INVERSE_VARIANCE: "inverse-variance"}
    return {
        key(task.dataset, name): _best(design, task, fold, TrainConfig(method=methods[name]))
        for name in names
    }


def _best(design: Design, task: Task, fold: int, method: TrainConfig) -> float:
    """Validation accuracy at the better of the learning rates."""
    found = []
    for rate in design.rates:
        config = configured(base_config(task, fold, rate, design.features), method)
        found.append(validate(config, parts_of(config)).validation)
    return max(found)


def configured(base: TrainConfig, method: TrainConfig) -> TrainConfig:
    """Method and settings of ``method``; a filter takes the place of momentum, its steps being as long."""
    config = replace(base, method=method.method, settings=method.settings)
    if config.calibration.posterior != "filtered":
        return config
    return replace(config, momentum=0.0, lr=base.lr / (1 - base.momentum))


EXPERIMENT: Final = Experiment(
    name="bogc-ablation",
    folder="bogc_mml/ablation",
    title="Which choices of bogc matter",
    paper="arXiv 2505.23071, whose abstract leaves them open",
    unit="validation accuracy, a share",
    full=AblationConfig(),
    quick=AblationConfig(Design((TINY,), 1, (0.06,), features=8), (BASE_NAME, "frame: reliability"), None),
    tasks=tasks,
    hours="25 runs, about 40 minutes of CPU; the same command resumes",
    former="b3910c905e",
    series=(),
)
