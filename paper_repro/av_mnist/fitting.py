"""The released recipe: every expert by itself, then their product, each stage at its best epoch."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.models.product_of_experts import ProductOfExperts
from bogc.training.state import batch_order, reproducible
from paper_repro.av_mnist.config import AvMnistConfig
from paper_repro.networks.lenet import av_mnist_experts

EXPERTS = ("image", "audio", "joint")
I2M2 = "I2M2"

Predict = Callable[[MultimodalBatch], Tensor]
"""Batch -> logits, [N, 10]."""


@dataclass(frozen=True)
class Parts:
    """Samples to train on, to choose epochs by, and to test on."""

    train: MultimodalDataset
    validation: MultimodalDataset
    test: MultimodalDataset


@dataclass(frozen=True)
class Stage:
    """How a stage trains.

    Attributes:
        rate: Learning rate of SGD.
        patience: Epochs without a better validation accuracy after which it stops; infinite for never.
    """

    rate: float
    patience: float = math.inf


def fit(parts: Parts, config: AvMnistConfig, seed: int) -> dict[str, float]:
    """Carry out all stages, and test what each has trained; on the GPU if there is one.

    Args:
        parts: The samples.
        config: Settings.
        seed: Of initial weights and of the order.

    Returns:
        Test accuracy in percent of "image", "audio" and "joint", the experts before they meet, and of "I2M2".
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {}
    with reproducible(seed):
        model = av_mnist_experts(config.unimodal_channels, config.joint_channels).to(device)
        stages = {
            "image": Stage(config.unimodal_rate),
            "audio": Stage(config.unimodal_rate),
            "joint": Stage(config.joint_rate, config.patience),
            I2M2: Stage(config.product_rate, config.patience),
        }
        for name, stage in stages.items():
            module, predict = part_of(model, name)
            train(module, predict, parts, config, stage, seed)
            found[name] = accuracy(module, predict, parts.test, config.batch_size)
    return found


def part_of(model: ProductOfExperts, name: str) -> tuple[nn.Module, Predict]:
    """Give what a stage trains, and how it predicts: one of ``EXPERTS``, or all of them for ``I2M2``."""
    if name == I2M2:
        return model, lambda batch: model(batch.inputs).fused
    if name == "joint":
        return model.joint, lambda batch: model.joint(batch.inputs)
    expert = nn.Sequential(model.encoders[name], model.heads[name])
    return expert, lambda batch: expert(batch.inputs[name])


def train(
    module: nn.Module, predict: Predict, parts: Parts, config: AvMnistConfig, stage: Stage, seed: int
) -> None:
    """Train by SGD, and leave ``module`` as it was after the first epoch of best validation accuracy."""
    device = next(module.parameters()).device
    optimiser = torch.optim.SGD(module.parameters(), stage.rate, weight_decay=config.weight_decay)
    best, kept, waited = -1.0, copy.deepcopy(module.state_dict()), 0
    for epoch in range(config.epochs):
        for indices in batch_order(len(parts.train), config.batch_size, seed, epoch):
            batch = parts.train.take(indices).to(device)
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(predict(batch), batch.targets).backward()
            nn.utils.clip_grad_norm_(module.parameters(), config.clip)
            optimiser.step()
        reached = accuracy(module, predict, parts.validation, config.batch_size)
        if reached > best:
            best, kept, waited = reached, copy.deepcopy(module.state_dict()), 0
        else:
            waited += 1
        if waited > stage.patience:
            break
    module.load_state_dict(kept)


def accuracy(module: nn.Module, predict: Predict, data: MultimodalDataset, batch_size: int) -> float:
    """Share of samples whose class is right, in percent; in evaluation mode."""
    device = next(module.parameters()).device
    module.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.no_grad():
        for indices in torch.arange(len(data)).split(batch_size):
            batch = data.take(indices).to(device)
            correct += (predict(batch).argmax(1) == batch.targets).sum()
    module.train()
    return 100 * int(correct) / len(data)
