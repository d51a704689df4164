"""The experiment: train, stop, and hold what every estimator, prior and route says against the truth."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Final

from torch import Tensor

from bogc.data import MultimodalDataset, load_dataset
from bogc.training.config import TrainConfig
from bogc.training.loop import prepare
from bogc.training.seeding import batch_order, reproducible
from bogc.training.state import TrainingState
from bogc.training.step import per_sample_losses, train_step
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.judging import all_scores, choices, judge, noise_scores
from paper_repro.gradient_uncertainty.measures import known_mean, rank_correlation
from paper_repro.gradient_uncertainty.table import ESTIMATORS, TRUE_NOISE, TRUE_SCALE
from paper_repro.gradient_uncertainty.truth import Truth, find_truth, passes
from paper_repro.gradient_uncertainty.updates import (
    BATCH_MEANS,
    DEFAULTS,
    batch_mean_scores,
    fused_sign_scores,
    reference_scores,
    shared_layers,
    update_scores,
)
from paper_repro.gradient_uncertainty.watching import Watch, stack, watched_dimensions

REFERENCE_SEED: Final = 10_000  # of the batches that give the truth, apart from training's
FRESH_SEED: Final = 20_000
DEFAULT: Final = ("block", "normal")
_DEFAULT: Final = " | ".join(("streaming 0.9", *DEFAULT))
_NOW: Final = " | ".join(("per-sample", *DEFAULT))


def tasks(config: UncertaintyConfig) -> Mapping[str, Task]:
    """One run a data set and seed, trainers by turns; seeds outermost: a part of the runs has all data."""
    found: dict[str, Task] = {}
    for seed in range(config.seeds):
        trainer = config.trainers[seed % len(config.trainers)]
        for dataset in config.datasets:
            found[f"{dataset}, {trainer}, seed {seed}"] = partial(run_one, config, dataset, trainer, seed)
    return found


def run_one(config: UncertaintyConfig, dataset: str, trainer: str, seed: int) -> dict[str, float]:
    """Train one network; values are means over the stops, some also at each stop."""
    parts: dict[str, list[float]] = {}
    for stop, scores in watch_training(config, dataset, trainer, seed):
        for key, value in scores.items():
            if not math.isnan(value):
                for name in (key, f"{key} | at {stop}") if _by_stop(key) else (key,):
                    parts.setdefault(name, []).append(value)
    return {name: float(f"{sum(values) / len(values):.4g}") for name, values in parts.items()}


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
        order = (
            b for epoch in range(epochs) for b in batch_order(len(train), config.batch_size, seed, epoch)
        )
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
            scores |= all_scores(judged)
            if choice[2] == "normal":
                scores |= fused_sign_scores(judged, layers)
                scores |= update_scores(judged, layers, every=choice[1] == "block")
                scores |= batch_mean_scores(judged, layers)
    return scores | reference_scores(judged, layers) | context(truth)


def context(truth: Truth) -> dict[str, float]:
    """What kind of gradients these are.

    Rank correlation of size and noise over the dimensions of a layer, share of their variance in the mean
    square of a batch, how far the two readings of a full gradient are apart, and who has one.
    """
    size = rank_correlation(truth.gradient.abs(), truth.noise, truth.alive)
    return {
        "size ~ noise": known_mean(size),
        "signal / noise": float(
            (truth.scale.squeeze(-1) / truth.noise.mean(-1))[truth.alive.any(-1)].median()
        ),
        "true u": known_mean(truth.uncertainty),
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


def _by_stop(key: str) -> bool:
    by_default = key.startswith("coverage 0.9 ") and key.endswith(" | ".join(DEFAULT))
    return by_default or key.startswith(("noise", "pooled", "squared error | best", "cosine |"))


EXPERIMENT = Experiment(
    name="gradient-uncertainty",
    folder="gradient_uncertainty",
    title="Does gradient uncertainty predict anything?",
    paper="arXiv 2505.23071 weighs gradients by their uncertainty; no number is published",
    unit="as stated a line",
    full=UncertaintyConfig(),
    quick=UncertaintyConfig(
        datasets=("synthetic",),
        seeds=1,
        steps=30,
        stops=(0.3, 0.6),
        window=2,
        batches=2,
        reference=10,
        dimensions=16,
        features=4,
    ),
    tasks=tasks,
    series=(
        Series(
            f"coverage 0.9 | {_DEFAULT}", "share of the truth within the 90 % interval, streaming variance"
        ),
        Series(
            f"coverage 0.9 | {TRUE_NOISE} | {TRUE_SCALE} | normal", "the same, noise and prior scale known"
        ),
        Series(
            f"u ~ error | {_DEFAULT}",
            "rank correlation of u and the posterior mean's error, streaming variance",
        ),
        Series(f"u ~ error | {TRUE_NOISE} | {TRUE_SCALE} | normal", "the same, noise and prior scale known"),
        Series("size ~ noise", "rank correlation of the true gradient's size and its noise, within layers"),
        Series(
            f"squared error | {_DEFAULT} | {', '.join(DEFAULTS)}, match-each-block",
            "squared error of bogc's former default update over the plain sum's",
        ),
        Series(
            f"squared error | {_NOW} | {BATCH_MEANS}, match-each-block",
            "the same of the default now, which aggregates batch means",
        ),
    ),
)
