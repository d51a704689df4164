"""The experiment: train, stop, and hold what every estimator, prior and route says against the truth."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Final

import torch
from torch import Tensor

from bogc.data import MultimodalDataset, load_dataset
from bogc.training.config import TrainConfig
from bogc.training.loop import prepare
from bogc.training.seeding import batch_order, reproducible
from bogc.training.state import TrainingState
from bogc.training.step import per_sample_losses, train_step
from paper_repro.experiment import Experiment, Task
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.judging import all_scores, choices, judge, noise_scores
from paper_repro.gradient_uncertainty.table import ESTIMATORS, TRUE_NOISE
from paper_repro.gradient_uncertainty.truth import Truth, find_truth, passes
from paper_repro.gradient_uncertainty.updates import (
    fused_sign_scores,
    reference_scores,
    shared_layers,
    update_scores,
)
from paper_repro.gradient_uncertainty.watching import Watch, stack, watched_dimensions

REFERENCE_SEED: Final = 10_000  # of the batches that give the truth, apart from training's
FRESH_SEED: Final = 20_000
DEFAULT: Final = ("block", "normal")


def tasks(config: UncertaintyConfig) -> Mapping[str, Task]:
    """One run a data set and seed, seeds outermost, so that an interrupted experiment has all data sets."""
    return {
        f"{dataset}, seed {seed}": partial(run_one, config, dataset, seed)
        for seed in range(config.seeds)
        for dataset in config.datasets
    }


def run_one(config: UncertaintyConfig, dataset: str, seed: int) -> dict[str, float]:
    """Train by each trainer; values are means over trainers and stops, some also by trainer and by stop."""
    parts: dict[str, list[float]] = {}
    for trainer in config.trainers:
        for stop, scores in watch_training(config, dataset, trainer, seed):
            for key, value in scores.items():
                if not math.isnan(value):
                    for name in _names(key, trainer, stop):
                        parts.setdefault(name, []).append(value)
    return {name: _rounded(sum(values) / len(values)) for name, values in parts.items()}


def watch_training(
    config: UncertaintyConfig, dataset: str, trainer: str, seed: int
) -> Iterator[tuple[float, dict[str, float]]]:
    """Train one network; yield every stop with its scores."""
    train = training_part(dataset)
    steps = len(batch_order(len(train), config.batch_size, 0, 0))
    epochs = math.ceil(config.steps / steps)
    settings = TrainConfig(
        dataset=dataset,
        method=trainer,
        epochs=epochs,
        batch_size=config.batch_size,
        features=config.features,
        device="cpu",
    )
    stops = {round(share * epochs * steps): share for share in config.stops}
    with reproducible(seed):
        state = TrainingState.create(settings, train, steps)
        blocks = state.model.partition().blocks
        watch = Watch(blocks, watched_dimensions(blocks, config.dimensions))
        order = (b for epoch in range(epochs) for b in batch_order(len(train), config.batch_size, seed, epoch))
        for step, indices in enumerate(order):
            if step in stops:
                yield stops[step], measure(config, state, train, watch, seed)
                watch.forget_priors()
            if step == max(stops):
                return
            near = any(0 < stop - step <= config.window for stop in stops)
            watch.follow(_losses(state, train, indices), near)
            train_step(state.model, train.take(indices), state.balancer, state.optimiser, False)
            state.schedule.step()


def measure(
    config: UncertaintyConfig, state: TrainingState, train: MultimodalDataset, watch: Watch, seed: int
) -> dict[str, float]:
    """Find the truth where training stands, and judge every choice on fresh batches."""
    samples = len(train)
    reference = passes(samples, config.batch_size, config.reference, REFERENCE_SEED + seed)
    truth = find_truth(lambda i: watch.gradients(_losses(state, train, i)), reference, samples)
    fresh = passes(samples, config.batch_size, config.batches, FRESH_SEED + seed)[: config.batches]
    losses = [_losses(state, train, indices) for indices in fresh]
    readings = {name: stack([watch.read(each, name) for each in losses]) for name in ESTIMATORS}
    readings[TRUE_NOISE] = truth.known_noise(readings["per-sample"])
    layers = shared_layers(watch.pairs, truth.alive)
    scores: dict[str, float] = {}
    for estimator, observed in readings.items():
        scores |= noise_scores(estimator, observed, truth)
        for choice in choices(estimator):
            judged = judge(choice, observed, watch.priors.get(choice, {}), truth)
            scores |= all_scores(judged) | fused_sign_scores(judged, layers)
            scores |= update_scores(judged, layers, every=choice[1:] == DEFAULT)
    return scores | reference_scores(judged, layers) | context(truth)


def context(truth: Truth) -> dict[str, float]:
    """How far the two readings of a full gradient are apart, and how many dimensions have one."""
    return {
        "whole part - mean of batches": float(truth.distance[truth.alive.any(-1)].mean()),
        "share without gradient": float((~truth.alive).double().mean()),
        "share sparse": float(truth.sparse.double().mean()),
    }


@lru_cache(maxsize=1)
def training_part(dataset: str) -> MultimodalDataset:
    """Load the training part of the first fold."""
    return prepare(TrainConfig(dataset=dataset, device="cpu"), load_dataset(dataset)).train


def _losses(state: TrainingState, train: MultimodalDataset, indices: Tensor) -> dict[str, Tensor]:
    batch = train.take(indices)
    return per_sample_losses(state.model(batch.inputs), batch.targets)


def _names(key: str, trainer: str, stop: float) -> list[str]:
    """Names under which a value is kept: some also by stop, the headline ones also by trainer."""
    by_stop = key.startswith(("noise", "pooled", "squared error | best", "cosine |"))
    headline = key.startswith("coverage 0.9 ") and key.endswith(" | ".join(DEFAULT))
    names = [key]
    if by_stop or headline:
        names.append(f"{key} | at {stop}")
    if headline:
        names.append(f"{key} | by {trainer}")
    return names


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
