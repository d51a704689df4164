"""The experiment: which runs there are, and which published numbers they speak about."""

from collections.abc import Mapping
from functools import partial

from paper_repro.experiment import Experiment, Series, Task
from paper_repro.tmc_handwritten.config import TmcConfig
from paper_repro.tmc_handwritten.protocols import (
    Build,
    as_released,
    concatenation,
    digits,
    fold_split,
    honest,
    released_split,
    trusted,
)


def tasks(config: TmcConfig) -> Mapping[str, Task]:
    """Name every run; each is independent of the others."""
    found: dict[str, Task] = {}
    for rate in config.rates:
        for seed in range(config.seeds):
            found[f"released split, rate {rate}, seed {seed}"] = partial(run_released, config, rate, seed)
    folds = range(config.folds * config.shuffles)
    for rate in config.rates:
        for fold in folds:
            found[f"other split, rate {rate}, fold {fold}"] = partial(run_other_split, config, rate, fold)
    for fold in folds:
        found[f"validated TMC, fold {fold}"] = partial(run_honest, config, "TMC", trusted, fold)
        found[f"validated concatenation, fold {fold}"] = partial(
            run_honest, config, "concatenation", concatenation, fold
        )
    return found


def run_released(config: TmcConfig, rate: float, seed: int) -> dict[str, float]:
    """Train on the released split."""
    train, test = released_split(digits())
    return {f"released, rate {rate}": as_released(train, test, config, rate, seed)}


def run_other_split(config: TmcConfig, rate: float, fold: int) -> dict[str, float]:
    """Train the released way on another 80/20 split."""
    split = fold_split(digits(), config, fold)
    seen = split.train.new_tensor(sorted([*split.train.tolist(), *split.validation.tolist()]))
    train, test = digits().subset(seen), digits().subset(split.test)
    return {f"other splits, rate {rate}": as_released(train, test, config, rate, fold)}


def run_honest(config: TmcConfig, name: str, build: Build, fold: int) -> dict[str, float]:
    """Train with rate and epoch chosen by validation."""
    found = honest(digits(), fold_split(digits(), config, fold), config, build, fold)
    return {
        f"validated {name}": found["accuracy"],
        f"validated {name}, chosen rate": found["rate"],
        f"validated {name}, chosen epoch": found["epoch"],
    }


_TEST_TO_SEEN = 400 / 1600  # folds share training data: see bogc.training.statistics.mean_interval
_TEST_TO_TRAIN = 400 / 1200

EXPERIMENT = Experiment(
    name="tmc-handwritten",
    folder="tmc_handwritten",
    title="Trusted Multi-View Classification on six views of handwritten digits",
    paper="Han et al. 2021, arXiv 2102.02051",
    unit="accuracy, percent",
    full=TmcConfig(),
    quick=TmcConfig(epochs=2, annealing_epochs=1, seeds=1, folds=3, shuffles=1, hidden=8),
    tasks=tasks,
    series=(
        Series(
            "released, rate 0.0003",
            "released protocol, split and default learning rate; seeds differ",
            row="tmc-handwritten-tmc",
        ),
        Series(
            "released, rate 0.003",
            "the same at learning rate 0.003",
            row="tmc-handwritten-official-code-lr-0.003",
        ),
        Series(
            "other splits, rate 0.0003", "released protocol, five other 80/20 splits", overlap=_TEST_TO_SEEN
        ),
        Series("other splits, rate 0.003", "the same at learning rate 0.003", overlap=_TEST_TO_SEEN),
        Series(
            "validated TMC",
            "scaled by training samples, rate and epoch chosen by validation, 60/20/20 splits",
            overlap=_TEST_TO_TRAIN,
        ),
        Series(
            "validated concatenation",
            "the same splits and choices, concatenated features and one hidden layer",
            overlap=_TEST_TO_TRAIN,
        ),
    ),
)
