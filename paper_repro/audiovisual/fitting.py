"""The released network and training: two ResNet-18 from scratch, SGD, one step down of the rate."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from bogc.balancing import Balancer
from bogc.balancing.joint import JointTraining
from bogc.balancing.ogm_ge import ReleasedOGMGE
from bogc.data.folders.clips import AudioVisualClips
from bogc.gradients import FUSION
from bogc.models import FUSIONS, MultimodalClassifier
from bogc.models.resnet import FEATURES, ResNet18
from bogc.training.seeding import reproducible
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.reading import evaluation_batches, training_batches

JOINT = "joint"
OGM_GE = "OGM-GE"


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
    """Clips to train on, to choose an epoch by, and to test on; ``validation`` None: the test clips."""

    train: AudioVisualClips
    validation: AudioVisualClips | None
    test: AudioVisualClips


def build_network(fusion: str, classes: int) -> MultimodalClassifier:
    """Draw the released network from the global generator; linear layers start Xavier normal, biases at 0.

    Its unimodal heads are ours: neither method trains them.
    """
    encoders = {"audio": ResNet18(1), "visual": ResNet18(3)}
    model = MultimodalClassifier(encoders, FUSIONS[fusion](("audio", "visual"), FEATURES, classes))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def fit(parts: Parts, config: AudioVisualConfig, method: str, fusion: str, seed: int) -> list[Epoch]:
    """Train, and score after every epoch; on the GPU if there is one.

    Args:
        parts: The clips.
        config: Settings.
        method: ``JOINT`` or ``OGM_GE``, the latter as in the released code.
        fusion: "concat" or "sum".
        seed: Of initial weights, order, augmentation and noise.

    Raises:
        NonFiniteError: Training diverged.
        DataError: A file is missing or broken.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with reproducible(seed):
        model = build_network(fusion, len(parts.train.class_names)).to(device)
        joint: Balancer = JointTraining(model.partition())
        slowing: Balancer = joint
        if method == OGM_GE:
            slowing = ReleasedOGMGE(model.partition(), model.fusion, config.alpha)
        optimiser = torch.optim.SGD(
            model.parameters(), config.rate, config.momentum, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, config.decay_epochs, config.decay)
        epochs = []
        for epoch in range(config.epochs):
            balancer = slowing if epoch < config.modulated_epochs else joint
            for batch in training_batches(parts.train, config.batch_size, seed, epoch):
                moved = batch.to(device)
                optimiser.zero_grad(set_to_none=True)
                outputs = model(moved.inputs)
                loss = functional.cross_entropy(outputs.fused, moved.targets, reduction="none")
                balancer.backward({FUSION: loss}, outputs, moved.targets)
                optimiser.step()
            schedule.step()
            epochs.append(_scored(model, parts, config.batch_size))
    return epochs


def accuracy(model: MultimodalClassifier, clips: AudioVisualClips, batch_size: int) -> float:
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


def _scored(model: MultimodalClassifier, parts: Parts, batch_size: int) -> Epoch:
    test = accuracy(model, parts.test, batch_size)
    chosen = test if parts.validation is None else accuracy(model, parts.validation, batch_size)
    return Epoch(chosen, test)
