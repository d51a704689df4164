"""The paper's network: one linear layer a modality, then one linear layer to the classes."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from bogc.models import ConcatFusion, ModalOutputs, MultimodalClassifier
from bogc.training.state import reproducible
from paper_repro.huang_iemocap.config import HuangIemocapConfig
from paper_repro.readers.iemocap_dialogues import CLASSES, Dialogues

SETS: Final[dict[str, tuple[str, ...]]] = {
    "T": ("text",),
    "TV": ("text", "vision"),
    "TA": ("text", "audio"),
    "TVA": ("text", "vision", "audio"),
}


@dataclass(frozen=True, eq=False)
class Utterances:
    """Vectors of some modalities and the emotion of each, [n]."""

    inputs: dict[str, Tensor]
    emotions: Tensor

    def at(self, indices: Tensor) -> "Utterances":
        """Those at ``indices``."""
        return Utterances({m: values[indices] for m, values in self.inputs.items()}, self.emotions[indices])


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained network, and its accuracies after every epoch.

    Attributes:
        model: After the last epoch.
        accuracies: In percent, one list an epoch, one number for each part to be scored.
    """

    model: MultimodalClassifier
    accuracies: list[list[float]]


def utterances(part: Dialogues, modalities: Sequence[str]) -> Utterances:
    """Take the real utterances of a part."""
    return Utterances({m: part.inputs[m] for m in modalities}, part.emotions)


def slots(part: Dialogues, modalities: Sequence[str], length: int) -> Utterances:
    """Take ``length`` slots a dialogue: behind its utterances, zeros of class 0."""
    present = torch.arange(length) < part.lengths.unsqueeze(1)
    flat = present.flatten()
    inputs = {}
    for modality in modalities:
        values = part.inputs[modality]
        inputs[modality] = values.new_zeros(len(flat), values.shape[1])
        inputs[modality][flat] = values
    emotions = part.emotions.new_zeros(len(flat))
    emotions[flat] = part.emotions
    return Utterances(inputs, emotions)


def fit(train: Utterances, scored: Sequence[Utterances], config: HuangIemocapConfig, seed: int) -> Fit:
    """Train by Adam on the cross-entropy, and score after every epoch.

    Args:
        train: What to train on.
        scored: What to score.
        config: Settings.
        seed: Of initial weights and of the order.
    """
    with reproducible(seed):
        widths = {m: values.shape[1] for m, values in train.inputs.items()}
        encoders = {m: nn.Linear(width, config.width) for m, width in widths.items()}
        model = MultimodalClassifier(encoders, ConcatFusion(tuple(widths), config.width, len(CLASSES)))
        optimiser = torch.optim.Adam(model.parameters(), config.rate)
        accuracies = []
        for _ in range(config.epochs):
            for indices in torch.randperm(len(train.emotions)).split(config.batch_size):
                batch = train.at(indices)
                optimiser.zero_grad(set_to_none=True)
                functional.cross_entropy(model(batch.inputs).fused, batch.emotions).backward()
                optimiser.step()
            accuracies.append([accuracy(model, part) for part in scored])
    return Fit(model, accuracies)


def accuracy(model: MultimodalClassifier, part: Utterances) -> float:
    """Share of utterances whose emotion is right, in percent."""
    right = outputs_of(model, part).fused.argmax(1) == part.emotions
    return 100 * float(right.double().mean())


def latent_risk(model: MultimodalClassifier, train: Utterances, test: Utterances) -> float:
    """Test error of a new linear head, fitted to the learnt features of the training part, in percent.

    It is a logistic regression on standardised features with scikit-learn's penalty. The paper's latent
    quality is the least error of a head less the least error of any network, which is the same for all sets
    of modalities and not known.
    """
    features = [torch.cat(list(outputs_of(model, part).features.values()), dim=1) for part in (train, test)]
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head.fit(features[0].numpy(), train.emotions.numpy())
    return 100 * (1 - float(head.score(features[1].numpy(), test.emotions.numpy())))


def outputs_of(model: MultimodalClassifier, part: Utterances) -> ModalOutputs:
    """Predict without a graph; the network behaves in training as in evaluation."""
    with torch.no_grad():
        outputs: ModalOutputs = model(part.inputs)
    return outputs
