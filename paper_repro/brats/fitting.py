"""The released training: SGD with a warm-up and a cosine, step by step; scored after every epoch."""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bogc.gradients import FUSION
from bogc.methods import Balancer
from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from bogc.methods.sums import JointTraining
from bogc.training.state import reproducible
from paper_repro.brats.config import BratsConfig
from paper_repro.brats.loss import SEGMENTATION, dice, segmentation_loss
from paper_repro.networks.segmentation import SegmentationClassifier, SegmentationNetwork
from paper_repro.readers.brats import CLASSES, MODALITIES, BratsSlices, Slice

JOINT = "joint"
RELEASED = "CGGM as released"
PAPER = "CGGM with the guard"
METHODS = (JOINT, RELEASED, PAPER)

Batch = tuple[dict[str, Tensor], Tensor]


@dataclass(frozen=True)
class Epoch:
    """Mean dice over slices after an epoch, in percent, on validation and on test patients."""

    valid: float
    test: float


def build_balancer(model: SegmentationNetwork, config: BratsConfig, method: str) -> Balancer:
    """Make one of ``METHODS``.

    The released code looks for encoders under names that this network does not have, so their gradients stay
    as they are and only the direction loss acts: ``strength`` 0. It does not clip here.
    """
    partition = model.partition()
    if method == JOINT:
        return JointTraining(partition)
    device = next(model.parameters()).device
    classifiers = nn.ModuleDict(
        {m: SegmentationClassifier(len(CLASSES), config.sizes, config.side) for m in MODALITIES}
    ).to(device)
    optimiser = torch.optim.SGD(
        classifiers.parameters(), config.classifier_rate, config.momentum, weight_decay=config.weight_decay
    )
    constants = {"rho": config.rho, "direction": config.direction}
    if method == RELEASED:
        return ReleasedCGGM(
            partition,
            classifiers,
            optimiser,
            model.weights,
            **constants,
            strength=0,
            clip=0,
            task=SEGMENTATION,
        )
    return CGGM(partition, classifiers, optimiser, **constants, task=SEGMENTATION)


def rate_at(step: int, steps: int, warm_up: int, config: BratsConfig) -> float:
    """Learning rate of a step: a straight line over the ``warm_up`` steps, then a cosine."""
    if step < warm_up:
        rise = config.rate - config.first_rate
        return config.first_rate + rise * step / max(warm_up - 1, 1)
    share = (step - warm_up) / (steps - warm_up)
    return config.last_rate + 0.5 * (config.rate - config.last_rate) * (1 + math.cos(math.pi * share))


def fit(parts: dict[str, BratsSlices], config: BratsConfig, method: str, seed: int) -> list[Epoch]:
    """Train, and score after every epoch; on the GPU if there is one.

    Args:
        parts: "train", "valid" and "test".
        config: Settings.
        method: One of ``METHODS``.
        seed: Of initial weights, dropout, and training slices; the order is that of the names, as released.

    Raises:
        NonFiniteError: Training diverged.
        DataError: A file is missing or broken.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with reproducible(seed):
        model = SegmentationNetwork(MODALITIES, len(CLASSES), config.sizes).to(device)
        balancer = build_balancer(model, config, method)
        optimiser = torch.optim.SGD(
            model.parameters(), config.first_rate, config.momentum, weight_decay=config.weight_decay
        )
        every = math.ceil(len(parts["train"]) / config.batch_size)
        epochs, step = [], 0
        for epoch in range(config.epochs):
            for inputs, targets in training_batches(parts["train"], config.batch_size, seed, epoch, device):
                rate = rate_at(step, config.epochs * every, config.warm_up * every, config)
                optimiser.param_groups[0]["lr"] = rate
                optimiser.zero_grad(set_to_none=True)
                outputs = model(inputs)
                # one loss of the whole batch, which every slice is given: their mean is that loss
                loss = segmentation_loss(outputs.fused, targets).expand(len(targets))
                balancer.backward({FUSION: loss}, outputs, targets)
                optimiser.step()
                step += 1
            epochs.append(
                Epoch(*(score(model, parts[part], config.batch_size) for part in ("valid", "test")))
            )
    return epochs


def training_batches(
    slices: BratsSlices, batch_size: int, seed: int, epoch: int, device: torch.device
) -> Iterator[Batch]:
    """Draw and change a slice of each patient by seed and epoch; a last batch of one slice is left out."""

    def read(index: int) -> Slice:
        return slices.training_item(index, np.random.default_rng([seed, epoch, index]))

    for inputs, targets in _batches(read, len(slices), batch_size, device):
        if len(targets) > 1:  # BatchNorm has no variance of one number
            yield inputs, targets


def score(model: SegmentationNetwork, slices: BratsSlices, batch_size: int) -> float:
    """Mean dice over slices, in percent; in evaluation mode, on the same slices every time."""
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        found = [
            dice(model(inputs).fused, targets)
            for inputs, targets in _batches(slices.__getitem__, len(slices), batch_size, device)
        ]
    model.train()
    return 100 * float(torch.cat(found).mean())


def _batches(
    read: Callable[[int], Slice], samples: int, batch_size: int, device: torch.device
) -> Iterator[Batch]:
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for indices in torch.arange(samples).split(batch_size):
            found = list(pool.map(read, indices.tolist()))
            inputs = {m: torch.stack([values[m] for values, _ in found]).to(device) for m in found[0][0]}
            yield inputs, torch.stack([classes for _, classes in found]).to(device)
