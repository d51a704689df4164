"""Training as in the released codes: one pass over the clips an epoch, steps down of the rate."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from bogc.methods import Balancer
from bogc.methods.sums import JointTraining
from bogc.models import MultimodalClassifier
from bogc.training.state import reproducible
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.methods import METHODS, Losses, fused_only
from paper_repro.audiovisual.network import build_network
from paper_repro.audiovisual.reading import evaluation_batches, training_batches
from paper_repro.audiovisual.sources import Clips


@dataclass(frozen=True)
class Epoch:
    """Accuracy after an epoch, in percent.

    Attributes:
        validation: On the clips to choose an epoch by.
        test: On the test clips.
    """

    validation: float
    test: float


@dataclass(frozen=True)
class Parts:
    """What one run trains on.

    Attributes:
        channels: Modality to the channels of its input.
        train: Clips to train on.
        validation: To choose an epoch by; None: the test clips.
        test: To test on.
        weights: File of torchvision's weights that the encoders start from; None: they start from nothing.
    """

    channels: Mapping[str, int]
    train: Clips
    validation: Clips | None
    test: Clips
    weights: Path | None = None


MakeOptimiser = Callable[[Iterable[nn.Parameter], AudioVisualConfig], Optimizer]


def _sgd(parameters: Iterable[nn.Parameter], config: AudioVisualConfig) -> Optimizer:
    return SGD(parameters, config.rate, config.momentum, weight_decay=config.weight_decay)


def _adam(parameters: Iterable[nn.Parameter], config: AudioVisualConfig) -> Optimizer:
    return Adam(parameters, config.rate, weight_decay=config.weight_decay)


def _adamw(parameters: Iterable[nn.Parameter], config: AudioVisualConfig) -> Optimizer:
    return AdamW(parameters, config.rate, weight_decay=config.weight_decay)


OPTIMISERS: Final[Mapping[str, MakeOptimiser]] = MappingProxyType(
    {"sgd": _sgd, "adam": _adam, "adamw": _adamw}
)


def fit(parts: Parts, config: AudioVisualConfig, method: str, fusion: str, seed: int) -> list[Epoch]:
    """Train, and score after every epoch; on the GPU if there is one.

    Args:
        parts: The clips.
        config: Settings.
        method: Key of ``METHODS``.
        fusion: "concat" or "sum".
        seed: Of initial weights, order, augmentation and noise.

    Raises:
        NonFiniteError: Training diverged.
        DataError: A file is missing or broken.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with reproducible(seed):
        classes = len(parts.train.class_names)
        model = build_network(parts.channels, fusion, classes, config.start, parts.weights).to(device)
        chosen = METHODS[method]
        balancer, plain = chosen.build(model, config), JointTraining(model.partition())
        optimiser = OPTIMISERS[config.optimiser](model.parameters(), config)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, config.decay_epochs, config.decay)
        epochs = []
        for epoch in range(config.epochs):
            working = epoch in chosen.epochs(config)
            used = (balancer, chosen.losses) if working else (plain, fused_only)
            _train(model, parts.train, optimiser, *used, config.batch_size, seed, epoch)
            schedule.step()
            epochs.append(_scored(model, parts, config.batch_size))
    return epochs


def accuracy(model: MultimodalClassifier, clips: Clips, batch_size: int) -> float:
    """Share of clips whose class the fused head gets right, in percent; in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.no_grad():
        for batch in evaluation_batches(clips, batch_size):
            moved = batch.to(device)
            correct += (model(moved.inputs).fused.argmax(1) == moved.targets).sum()
    model.train()
    return 100 * int(correct) / len(clips)


def _train(
    model: MultimodalClassifier,
    clips: Clips,
    optimiser: Optimizer,
    balancer: Balancer,
    losses: Losses,
    batch_size: int,
    seed: int,
    epoch: int,
) -> None:
    """One pass over the clips."""
    device = next(model.parameters()).device
    for batch in training_batches(clips, batch_size, seed, epoch):
        moved = batch.to(device)
        optimiser.zero_grad(set_to_none=True)
        outputs = model(moved.inputs)
        balancer.backward(losses(model, outputs, moved.targets), outputs, moved.targets)
        optimiser.step()


def _scored(model: MultimodalClassifier, parts: Parts, batch_size: int) -> Epoch:
    test = accuracy(model, parts.test, batch_size)
    chosen = test if parts.validation is None else accuracy(model, parts.validation, batch_size)
    return Epoch(chosen, test)
