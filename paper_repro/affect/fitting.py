"""The released training: Adam, clipped, in the order of the file; scored after every epoch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn import functional

from bogc.errors import DataError
from bogc.gradients import FUSION
from bogc.methods import Balancer
from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from bogc.methods.sums import JointTraining
from bogc.methods.tasks import CLASSIFICATION, SENTIMENT
from bogc.training.state import reproducible
from paper_repro.affect.config import AffectConfig
from paper_repro.networks.affect import AffectClassifier, AffectNetwork

JOINT = "joint"
RELEASED = "CGGM as released"
PAPER = "CGGM with the guard"
METHODS = (JOINT, RELEASED, PAPER)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Utterances.

    Attributes:
        inputs: Modality to its features, [n, features, time].
        targets: Scores, float32, [n], or classes, int64, [n].
    """

    inputs: Mapping[str, Tensor]
    targets: Shaped[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Parts:
    """What to train on, to choose an epoch by, and to test on.

    Attributes:
        train: See there.
        valid: See there.
        test: See there.
        outputs: Classes, or 1 where the targets are scores.

    Raises:
        DataError: Parts do not have the same features.
    """

    train: Sequences
    valid: Sequences
    test: Sequences
    outputs: int

    def __post_init__(self) -> None:
        widths = [{m: x.shape[1] for m, x in part.inputs.items()} for part in self.all.values()]
        if any(each != widths[0] for each in widths):
            raise DataError("parts", "must have the same features", widths, "Prepare them together.")

    @property
    def all(self) -> dict[str, Sequences]:
        """By name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


Scores = dict[str, float]
"""Of a part: "loss", the mean over batches of their mean losses; "accuracy" in percent; "mae" of scores."""


@dataclass(frozen=True)
class Epoch:
    """Scores after an epoch, on validation and on test utterances."""

    valid: Scores
    test: Scores


def build_balancer(model: AffectNetwork, outputs: int, config: AffectConfig, method: str) -> Balancer:
    """Make one of ``METHODS``; the two spellings of CGGM with classifiers of their own."""
    partition = model.partition()
    if method == JOINT:
        return JointTraining(partition)
    device = next(model.parameters()).device
    classifiers = nn.ModuleDict(
        {
            m: AffectClassifier(
                config.width, outputs, config.heads, config.classifier_layers, config.dropouts
            )
            for m in partition.modalities
        }
    ).to(device)
    optimiser = torch.optim.Adam(classifiers.parameters(), config.classifier_rate)
    task = SENTIMENT if outputs == 1 else CLASSIFICATION
    constants = {"rho": config.rho, "direction": config.direction}
    if method == RELEASED:  # the loop clips, after it as there, with every method
        return ReleasedCGGM(partition, classifiers, optimiser, model.weights, **constants, clip=0, task=task)
    return CGGM(partition, classifiers, optimiser, **constants, task=task)


def fit(parts: Parts, config: AffectConfig, method: str, seed: int) -> list[Epoch]:
    """Train, and score after every epoch; on the GPU if there is one.

    Args:
        parts: The utterances.
        config: Settings.
        method: One of ``METHODS``.
        seed: Of initial weights and dropout.

    Raises:
        NonFiniteError: Training diverged.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    widths = {m: values.shape[1] for m, values in parts.train.inputs.items()}
    with reproducible(seed):
        model = AffectNetwork(
            widths, parts.outputs, config.width, config.heads, config.layers, config.dropouts, config.output
        ).to(device)
        balancer = build_balancer(model, parts.outputs, config, method)
        optimiser = torch.optim.Adam(model.parameters(), config.rate)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=config.patience)
        epochs = []
        for _ in range(config.epochs):
            for inputs, targets in batches(parts.train, config.batch_size, device):
                optimiser.zero_grad(set_to_none=True)
                outputs = model(inputs)
                balancer.backward({FUSION: losses(outputs.fused, targets)}, outputs, targets)
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
                optimiser.step()
            epochs.append(
                Epoch(
                    score(model, parts.valid, config.batch_size), score(model, parts.test, config.batch_size)
                )
            )
            schedule.step(epochs[-1].valid["loss"])
    return epochs


def losses(predictions: Tensor, targets: Tensor) -> Tensor:
    """Absolute errors of scores, or cross-entropies of classes, [N]."""
    if targets.is_floating_point():
        return (predictions.flatten() - targets).abs()
    return functional.cross_entropy(predictions, targets, reduction="none")


def score(model: AffectNetwork, part: Sequences, batch_size: int) -> Scores:
    """Score in evaluation mode; a score's class is whether it is above 0, as in the released code."""
    device = next(model.parameters()).device
    model.eval()
    means, right, errors = [], [], []
    with torch.no_grad():
        for inputs, targets in batches(part, batch_size, device):
            predictions = model(inputs).fused
            means.append(losses(predictions, targets).mean())
            if targets.is_floating_point():
                right.append((predictions.flatten() > 0) == (targets > 0))
                errors.append((predictions.flatten() - targets).abs())
            else:
                right.append(predictions.argmax(1) == targets)
    model.train()
    found = {
        "loss": float(torch.stack(means).mean()),
        "accuracy": 100 * float(torch.cat(right).double().mean()),
    }
    return found | ({"mae": float(torch.cat(errors).double().mean())} if errors else {})


def batches(
    part: Sequences, batch_size: int, device: torch.device
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Cut into batches in the order of the file: the released code does not shuffle."""
    for indices in torch.arange(len(part.targets)).split(batch_size):
        inputs = {m: values[indices].to(device) for m, values in part.inputs.items()}
        yield inputs, part.targets[indices].to(device)
