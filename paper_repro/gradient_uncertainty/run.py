"""The experiment: train, stop, and hold what every estimator, prior and route says against the truth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import torch

from bogc.data import MultimodalDataset, load_dataset
from bogc.gradients import GradientMoments
from bogc.training.config import TrainConfig
from bogc.training.loop import prepare
from bogc.training.seeding import batch_order, reproducible
from bogc.training.state import TrainingState
from bogc.training.step import per_sample_losses, train_step
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.judging import (
    choices,
    judge,
    layer_scores,
    noise_scores,
    posterior_scores,
)
from paper_repro.gradient_uncertainty.table import ESTIMATORS, TRUE_NOISE
from paper_repro.gradient_uncertainty.truth import Truth, batches_for, find_truth
from paper_repro.gradient_uncertainty.updates import (
    fused_sign_scores,
    reference_scores,
    shared_layers,
    update_scores,
)
from paper_repro.gradient_uncertainty.watching import Pair, Watch, stack, watched_dimensions

STOPS = ("early", "middle", "late")


def run_one(config: UncertaintyConfig, dataset: str, trainer: str, seed: int) -> dict[str, float]:
    train = loaded(dataset)
    steps = len(batch_order(len(train), config.batch_size, 0, 0))
    epochs = math.ceil(config.steps / steps)
    settings = TrainConfig(
        dataset=dataset, method=trainer, seed=seed, epochs=epochs, batch_size=config.batch_size,
        features=config.features, device="cpu",
    )
    with reproducible(seed):
        state = TrainingState.create(settings, train, steps)
        blocks = state.model.partition().blocks
        watch = Watch(blocks, watched_dimensions(blocks, config.dimensions))
        stops = {round(share * epochs * steps): name for share, name in zip(config.stops, STOPS)}
        found = []
        for epoch in range(epochs):
            for indices in batch_order(len(train), config.batch_size, seed, epoch):
                if state.step in stops:
                    found.append(measure(config, state, train, watch, seed))
                    watch.forget_priors()
                if state.step > max(stops):
                    break
                batch = train.take(indices)
                near = any(0 < stop - state.step <= config.window for stop in stops)
                losses = per_sample_losses(state.model(batch.inputs), batch.targets)
                watch.follow(losses, near)
                del losses
                train_step(state.model, batch, state.balancer, state.optimiser, False)
                state.schedule.step()
                state.step += 1
    return found


def measure(config, state, train, watch, seed):
    blocks = watch.blocks
    truths = find_truth(state.model, train, blocks, watch.positions,
                        batches_for(len(train), config, config.reference, 10_000 + seed))
    readings = {name: [] for name in ESTIMATORS}
    for indices in batches_for(len(train), config, config.batches, 20_000 + seed)[: config.batches]:
        batch = train.take(indices)
        losses = per_sample_losses(state.model(batch.inputs), batch.targets)
        for name in ESTIMATORS:
            readings[name].append(watch.read(losses, name))
    stacked = {name: {pair: stack([r[pair] for r in rows]) for pair in rows[0]} for name, rows in readings.items()}
    stacked[TRUE_NOISE] = {p: known(m, truths[p]) for p, m in stacked["per-sample"].items()}
    scores = {}
    for estimator in stacked:
        scores |= noise_scores(estimator, stacked[estimator], truths)
        for choice in choices(estimator):
            judged = judge(choice, stacked, watch.priors, truths)
            scores |= posterior_scores(choice, judged) | layer_scores(choice, judged)
            layers = shared_layers(judged)
            scores |= update_scores(choice, layers, every=choice[1:] == ("block", "normal"))
            scores |= fused_sign_scores(choice, layers)
    scores |= reference_scores(layers)
    drift = [float(((t.whole - t.gradient).square().mean() / t.noise.mean()).sqrt()) for t in truths.values() if t.alive.any()]
    scores["whole - mean over noise"] = sum(drift) / len(drift)
    scores["share not alive"] = float(torch.cat([~t.alive for t in truths.values()]).double().mean())
    scores["share sparse"] = float(torch.cat([t.sparse for t in truths.values()]).double().mean())
    return scores


def known(moments: GradientMoments, truth: Truth) -> GradientMoments:
    ones = torch.ones_like(moments.count)
    df = truth.batches - 1
    return GradientMoments.unchecked(mean=moments.mean, scatter=(truth.noise * moments.count * df), count=moments.count, degrees_of_freedom=ones * df)


@lru_cache(maxsize=1)
def loaded(dataset: str) -> MultimodalDataset:
    return prepare(TrainConfig(dataset=dataset, device="cpu"), load_dataset(dataset)).train
