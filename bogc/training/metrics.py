"""How good a model is: fused and unimodal, with modalities removed, and by linear probes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from bogc.data import MultimodalDataset
from bogc.models import ModalOutputs
from bogc.training.networks import Network


@dataclass(frozen=True)
class Scores:
    """Quality of one prediction.

    Attributes:
        accuracy: Share of correct classes.
        macro_f1: Unweighted mean of the F1 scores of the classes that occur.
        nll: Mean negative log-likelihood in nats.
        calibration_error: Expected calibration error over 15 equal bins of confidence (Guo et al. 2017).
    """

    accuracy: float
    macro_f1: float
    nll: float
    calibration_error: float


def score(logits: Float[Tensor, "N C"], targets: Int64[Tensor, " N"]) -> Scores:
    """Score logits against class indices."""
    logits, targets = logits.detach().double().cpu(), targets.cpu()
    confidence, predicted = logits.softmax(1).max(1)
    correct = (predicted == targets).double()
    return Scores(
        accuracy=float(correct.mean()),
        macro_f1=float(f1_score(targets.numpy(), predicted.numpy(), average="macro", zero_division=0.0)),
        nll=float(functional.cross_entropy(logits, targets)),
        calibration_error=calibration_error(confidence, correct),
    )


def calibration_error(confidence: Float[Tensor, " N"], correct: Float[Tensor, " N"], bins: int = 15) -> float:
    """Mean over samples of |accuracy - confidence| of the sample's bin."""
    index = (confidence * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins, dtype=confidence.dtype).index_add_(0, index, correct - confidence)
    return float(gap.abs().sum() / len(confidence))


@torch.no_grad()
def predict(model: Network, data: MultimodalDataset, without: str | None = None) -> ModalOutputs:
    """Outputs for the whole data set in evaluation mode, on the CPU, optionally with one modality removed."""
    was_training = model.training
    model.eval()
    parts: list[ModalOutputs] = []
    try:
        for indices in torch.arange(len(data), device=data.targets.device).split(512):
            batch = data.take(indices)
            parts.append(model((batch if without is None else batch.without(without)).inputs))
    finally:
        model.train(was_training)
    return ModalOutputs(
        fused=torch.cat([part.fused for part in parts]).float().cpu(),
        unimodal={m: torch.cat([p.unimodal[m] for p in parts]).float().cpu() for m in parts[0].unimodal},
        features={m: torch.cat([p.features[m] for p in parts]).float().cpu() for m in parts[0].features},
    )


def probe_accuracy(
    train: Float[Tensor, "N F"], train_targets: Tensor, test: Float[Tensor, "n F"], test_targets: Tensor
) -> float:
    """Test accuracy of logistic regression on frozen features: how much an encoder has learnt by itself."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
    probe.fit(train.double().numpy(), train_targets.cpu().numpy())
    return float(np.mean(probe.predict(test.double().numpy()) == test_targets.cpu().numpy()))


@dataclass(frozen=True)
class Evaluation:
    """All measures of one model on one part of the data.

    Attributes:
        fused: Scores with all modalities.
        unimodal: Accuracy of each modality's own head, and of the joint expert in a product of experts. Heads
            that the method does not train stay as initialised.
        probes: Accuracy of a linear probe on each encoder.
        without: Fused accuracy with each modality removed, for which the fusion head has a stand-in of its
            own (zeros, or nothing at all); empty if there is only one.
    """

    fused: Scores
    unimodal: dict[str, float]
    probes: dict[str, float]
    without: dict[str, float]


def evaluate(model: Network, train: MultimodalDataset, test: MultimodalDataset) -> Evaluation:
    """Measure everything on ``test``; ``train`` is what the probes are fitted to."""
    outputs, seen = predict(model, test), predict(model, train)
    modalities = test.modalities
    return Evaluation(
        fused=score(outputs.fused, test.targets),
        unimodal={m: score(logits, test.targets).accuracy for m, logits in outputs.unimodal.items()},
        probes=_probes(seen.features, train.targets, outputs.features, test.targets),
        without={m: score(predict(model, test, m).fused, test.targets).accuracy for m in modalities}
        if len(modalities) > 1
        else {},
    )


def _probes(
    train: Mapping[str, Tensor], train_targets: Tensor, test: Mapping[str, Tensor], test_targets: Tensor
) -> dict[str, float]:
    return {m: probe_accuracy(train[m], train_targets, test[m], test_targets) for m in test}
