"""The experiment: train, stop, and hold what bogc says of its gradients against the truth."""

from collections.abc import Mapping
from functools import partial
from statistics import mean
from typing import Final

import torch

from paper_repro.experiment import Experiment, Series, Task
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.judging import LEVELS, Scores, averages, judge
from paper_repro.gradient_uncertainty.training import (
    DEFAULT,
    FILTERED,
    FORMER,
    UNKNOWN,
    Path,
    Watch,
    watch_training,
)

SETTLED: Final = 20  # step from which u's movement counts
FLIP: Final = 0.5  # of a layer's mean u in one step
COVERAGE: Final = tuple(f"coverage {level}" for level in LEVELS)
KEPT: Final = {
    UNKNOWN: ("coverage 0.9", "coverage 0.5", "u"),
    FILTERED: (*COVERAGE, "u", "error, means, geometric", "error, update, geometric", "error, means"),
    FORMER: (*COVERAGE, "u", "u ~ error", "error, update, geometric", "noise ratio, geometric"),
}
"""What is kept of the scores of each balancer; of the default everything."""


def tasks(config: UncertaintyConfig) -> Mapping[str, Task]:
    """One run a setting, trainer and seed; seeds outermost: a part of the runs has all data."""
    return {
        name_of(dataset, size, trainer, seed): partial(run_one, config, dataset, size, trainer, seed)
        for seed in range(max(seeds for _, _, seeds in config.settings))
        for dataset, size, seeds in config.settings
        for trainer in config.trainers
        if seed < seeds
    }


def name_of(dataset: str, size: int, trainer: str, seed: int) -> str:
    """Name of a run."""
    return f"{dataset} {size}, {trainer}, seed {seed}"


def run_one(config: UncertaintyConfig, dataset: str, size: int, trainer: str, seed: int) -> Scores:
    """Train one network; values are means over layers, losses and moments."""
    torch.set_num_threads(1)
    found: dict[str, list[Scores]] = {}
    moments: dict[str, Scores] = {}
    for watch, step, infos in watch_training(config, dataset, size, trainer, seed):
        if step in config.moments:
            for name, info in infos.items():
                scores = judge(info.blocks, watch.truths[step], fused=name == DEFAULT)
                found.setdefault(name, []).extend(scores)
                if name == DEFAULT:
                    moments[f"coverage 0.9 | at {step}"] = averages(scores)
    values = {key: own["coverage 0.9"] for key, own in moments.items()}
    for name, scores in found.items():
        own = averages(scores)
        values |= {f"{key} | {name}": own[key] for key in KEPT.get(name, tuple(own))}
    for name, path in watch.paths.items():
        moved = movement(path, SETTLED - min(config.moments))
        values |= {f"{key} | {name}": value for key, value in moved.items()}
    if seed == 0 and size == 64:
        values |= by_layer(watch)
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def movement(paths: Path, settled: int) -> Scores:
    """How far the mean u of a layer goes in one step: on average, at most, and how many layers ever flip."""
    steps = [torch.tensor(path, dtype=torch.float64).diff().abs() for path in paths.values()]
    late = torch.stack([step[settled:] for step in steps])
    return {
        "movement of u": float(late.mean()),
        "largest movement of u": float(late.max()),
        "flips": float(sum(bool((step[settled // 2 :] > FLIP).any()) for step in steps)),
    }


def by_layer(watch: Watch) -> Scores:
    """Mean u of each loss in each layer at the moments, and the true one."""
    found = {}
    for (source, layer), path in watch.paths[DEFAULT].items():
        known = watch.true_u((source, layer))
        found[f"u | {source} | {layer}"] = mean(path[step - min(watch.truths)] for step in known)
        found[f"true u | {source} | {layer}"] = mean(known.values())
    return found


EXPERIMENT = Experiment(
    name="gradient-uncertainty",
    folder="gradient_uncertainty",
    title="Is bogc right about its gradients?",
    paper="arXiv 2505.23071 weighs gradients by their uncertainty; no number is published",
    unit="as stated a line",
    full=UncertaintyConfig(),
    quick=UncertaintyConfig(
        settings=(("synthetic", 64, 1),), steps=30, moments=(4, 25), reference=10, features=4, former=()
    ),
    tasks=tasks,
    series=(
        Series("coverage 0.9 | default", "share of the truth within the 90 % interval, default"),
        Series("coverage 0.5 | default", "the same of the 50 % interval"),
        Series("u | default", "mean uncertainty u of a layer"),
        Series("true u, root | default", "true u of the layer, tau^2 in proportion to the root of the noise"),
        Series("error, update, geometric | default", "squared error of the update over the plain sum's"),
        Series("movement of u | default", "movement of a layer's mean u in a step"),
        Series("u ~ error | default", "rank correlation of u and the batch gradient's error, within layers"),
        Series("coverage 0.9 | filtered", "share of the truth within the 90 % interval, filtered posterior"),
        Series(
            "error, means, geometric | filtered",
            "squared error of the filtered posterior's means over the plain sum's, at its length",
        ),
    ),
)
