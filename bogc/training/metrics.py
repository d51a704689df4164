"""How good a model is: its scores, and the latent quality of its features."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bogc.checks import check_finite, check_floating, check_number, check_values
from bogc.data import MultimodalDataset
from bogc.data.dataset import check_indices
from bogc.errors import DataError, MassSumError, ShapeError, TooFewSamplesError
from bogc.models import ModalOutputs
from bogc.training.state import Network
from bogc.training.statistics import Interval, mean_interval, paired_difference


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
    from sklearn.metrics import f1_score  # slow to import

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
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

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


Subset: TypeAlias = tuple[str, ...]
_Array: TypeAlias = NDArray[Any]

RISKS: Final = ("zero_one", "log_loss")
FOLDS: Final = 3
_STEPS: Final = 300  # of the perceptron's optimiser, at least
_BATCH: Final = 200


@dataclass(frozen=True, eq=False)
class HeldOutRisk:
    """Losses of the best head on the features of one set of modalities.

    Attributes:
        head: Which head that was, by cross-validated log loss on the training features.
        losses: Risk -> loss of each held-out sample, [n]: 0 or 1 for ``"zero_one"``, -log p(y|g(x)) in nats
            for ``"log_loss"``.
    """

    head: str
    losses: dict[str, _Array]


@dataclass(frozen=True, eq=False)
class LatentQuality:
    """Held-out risks by set of modalities: all, each alone, all but each.

    Intervals hold for independent samples; where several come from one subject they are too short.

    Attributes:
        subsets: Modalities, in order -> losses of the best head on their concatenated features.
    """

    subsets: dict[Subset, HeldOutRisk]

    def risk(self, name: str) -> dict[Subset, Interval]:
        """Mean held-out loss of each set, ``name`` one of RISKS; in expectation an upper bound on eta.

        A fitted head has at least the infimum's risk, and r(h* o g*) >= 0 is not subtracted. It falls to
        the infimum as the training set grows, if a class of heads contains the best one.
        """
        return {subset: mean_interval(list(found.losses[name])) for subset, found in self.subsets.items()}

    def relative_quality(self, name: str) -> dict[Subset, Interval]:
        """Risk of each set minus the smallest risk measured, with its interval over paired samples.

        An estimate of eta(g) - eta(g_best), not of eta(g): as in theory 6.28 it contains the difference of
        what the two heads fall short of the best ones, of either sign, and the quality of the best set is
        subtracted. Never negative, and a little too large, since the best is chosen on the same samples.
        """
        best = min(self.subsets.values(), key=lambda found: float(found.losses[name].mean()))
        reference = list(best.losses[name])
        return {
            s: paired_difference(list(found.losses[name]), reference) for s, found in self.subsets.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        """One plain dict a set, for tables and JSON: modalities, head, and for each risk four numbers.

        These are ``risk`` and ``relative`` with the half widths of their 95 % intervals.
        """
        lines: list[dict[str, Any]] = [
            {"modalities": list(subset), "head": found.head} for subset, found in self.subsets.items()
        ]
        for name in RISKS:
            pairs = zip(self.risk(name).values(), self.relative_quality(name).values(), strict=True)
            for line, (risk, relative) in zip(lines, pairs, strict=True):
                line[name] = {
                    "risk": risk.mean,
                    "risk_half": risk.half,
                    "relative": relative.mean,
                    "relative_half": relative.half,
                }
        return lines


def latent_quality(
    train_features: Mapping[str, Tensor],
    train_targets: Int64[Tensor, " N"],
    test_features: Mapping[str, Tensor],
    test_targets: Int64[Tensor, " n"],
    seed: int = 0,
) -> LatentQuality:
    """Fit heads to frozen features of all modalities, of each alone and of all but each, and measure them.

    Heads are multinomial logistic regressions of several penalties and a small perceptron, each standardised
    by the training features. The one of least cross-validated log loss is fitted to all training features.
    Folds are by class and not by subject, which matters for this choice alone.

    Args:
        train_features: Modality -> [N, F] as from ``predict(model, data).features``; any dtype or device.
        train_targets: Class indices.
        test_features: The same modalities, [n, F], of other samples.
        test_targets: Class indices.
        seed: Of the folds and the perceptron; with it, the result is determined.

    Raises:
        DataError: No modality, other modalities or classes in the test part, or a single class.
        ShapeError, DtypeError, NonFiniteError: Features are not [N, F], floating point and finite.
        TooFewSamplesError: A class has fewer than three training samples, or there is one test sample.
        RangeError: The seed does not fit 32 bits.
    """
    check_number("seed", seed, 0 <= seed < 2**32, "must lie in [0, 2**32)", "Choose another seed.")
    _check_features("train_features", train_features, "train_targets", train_targets)
    _check_features("test_features", test_features, "test_targets", test_targets)
    _check_same_columns(train_features, test_features)
    _check_classes(train_targets, test_targets)
    train, test = _arrays(train_features), _arrays(test_features)
    labels, held_out = train_targets.cpu().numpy(), test_targets.cpu().numpy()
    found: dict[Subset, HeldOutRisk] = {}
    for subset in subsets(tuple(train)):
        inputs, other = (np.concatenate([part[m] for m in subset], axis=1) for part in (train, test))
        found[subset] = _held_out_risk(inputs, labels, other, held_out, seed)
    return LatentQuality(found)


def subsets(modalities: Subset) -> list[Subset]:
    """All modalities, each alone, all but each; without repetition, so M = 2 has three."""
    alone = [(m,) for m in modalities]
    without = [tuple(other for other in modalities if other != m) for m in modalities]
    return list(dict.fromkeys(s for s in (modalities, *alone, *without) if s))


def exact_latent_quality(joint: Float[Tensor, "X C"], codes: Int64[Tensor, " X"]) -> float:
    """Quality by zero-one risk, all predictors allowed: sum_x max_y p(x, y) - sum_z max_y p(z, y) (6.25).

    Args:
        joint: p(x, y) of finitely many inputs and classes.
        codes: g(x), any integers: inputs with one code cannot be told apart.

    Raises:
        ShapeError: There is not one code an input.
        NonFiniteError, RangeError, MassSumError: A probability is not finite or negative, or their sum not 1.
    """
    check_floating("joint", joint)
    check_indices("codes", codes)
    if joint.ndim != 2 or len(joint) != len(codes):
        raise ShapeError(
            "joint", f"must have shape [{len(codes)}, C]", list(joint.shape), "Give a code each."
        )
    check_finite("joint", joint, "Pass probabilities.")
    check_values("joint", "must not be negative", joint, joint >= 0, "Pass probabilities.")
    total = float(joint.sum())
    if abs(total - 1) > torch.finfo(joint.dtype).eps ** 0.5:
        raise MassSumError("joint", "must sum to 1", total, "Divide by the sum.")
    cells, cell = codes.unique(return_inverse=True)
    merged = joint.new_zeros(len(cells), joint.shape[1]).index_add_(0, cell, joint)
    return float(joint.amax(1).sum() - merged.amax(1).sum())


def _heads(samples: int, seed: int) -> dict[str, Any]:
    """The heads from which the best is taken, by name."""
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    heads: dict[str, Any] = {
        f"logistic C={penalty:g}": LogisticRegression(C=penalty, max_iter=2000)
        for penalty in (0.001, 0.01, 0.1, 1.0, 10.0)
    }
    epochs = max(20, -(-_STEPS // -(-samples // _BATCH)))
    heads["perceptron"] = MLPClassifier(
        (32,),
        learning_rate_init=0.005,
        batch_size=min(_BATCH, samples),
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    return {name: make_pipeline(StandardScaler(), head) for name, head in heads.items()}


def _held_out_risk(train: _Array, labels: _Array, test: _Array, held_out: _Array, seed: int) -> HeldOutRisk:
    from sklearn.exceptions import ConvergenceWarning  # slow to import
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    heads = _heads(len(train) * (FOLDS - 1) // FOLDS, seed)
    classes = np.unique(labels)
    with warnings.catch_warnings():  # a head that stops early has a risk like any other
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = {
            name: _log_losses(
                cross_val_predict(head, train, labels, cv=folds, method="predict_proba"), labels, classes
            ).mean()
            for name, head in heads.items()
        }
        name = min(scores, key=lambda head: float(scores[head]))
        probabilities = heads[name].fit(train, labels).predict_proba(test)
    wrong = classes[probabilities.argmax(1)] != held_out
    losses = {"zero_one": wrong.astype(np.float64), "log_loss": _log_losses(probabilities, held_out, classes)}
    return HeldOutRisk(name, losses)


def _log_losses(probabilities: _Array, labels: _Array, classes: _Array) -> _Array:
    """-log p of each sample's class, [n]; at most 36 nats, where float64 cannot tell p from 0 beside 1."""
    chosen = probabilities[np.arange(len(labels)), np.searchsorted(classes, labels)]
    losses: _Array = -np.log(np.maximum(chosen, np.finfo(np.float64).eps))
    return losses


def _arrays(features: Mapping[str, Tensor]) -> dict[str, _Array]:
    return {m: value.detach().double().cpu().numpy() for m, value in features.items()}


def _check_features(parameter: str, features: Mapping[str, Tensor], rows: str, targets: Tensor) -> None:
    check_indices(rows, targets)
    if not features:
        raise DataError(parameter, "must hold at least one modality", "none", "Add a modality.")
    for modality, value in features.items():
        name = f"{parameter}[{modality!r}]"
        check_floating(name, value)
        if value.ndim != 2 or value.shape[1] == 0 or len(value) != len(targets):
            rule = f"must have shape [{len(targets)}, F], a row for each of {rows}"
            raise ShapeError(name, rule, list(value.shape), "Align it, and flatten other axes.")
        check_finite(name, value, "Look for divergence of the network.")


def _check_same_columns(train: Mapping[str, Tensor], test: Mapping[str, Tensor]) -> None:
    if train.keys() != test.keys():
        rule = f"must have the modalities {list(train)}"
        raise DataError("test_features", rule, list(test), "Predict both parts with one model.")
    for modality, value in train.items():
        if test[modality].shape[1] != value.shape[1]:
            name, rule = f"test_features[{modality!r}]", f"must have {value.shape[1]} columns"
            raise ShapeError(name, rule, test[modality].shape[1], "Predict both parts with one model.")


def _check_classes(train: Tensor, test: Tensor) -> None:
    classes, counts = train.unique(return_counts=True)
    if len(classes) < 2:
        found = f"only class {int(classes[0])}"
        raise DataError("train_targets", "must have at least two classes", found, "Provide more samples.")
    if int(counts.min()) < FOLDS:
        rule = f"must have at least {FOLDS} samples of each class, one a fold"
        found = f"{int(counts.min())} of class {int(classes[counts.argmin()])}"
        raise TooFewSamplesError("train_targets", rule, found, "Provide more, or leave the class out.")
    if len(test) < 2:
        raise TooFewSamplesError("test_targets", "must be at least two", len(test), "Provide more samples.")
    unseen = sorted(set(test.tolist()) - set(classes.tolist()))
    if unseen:
        raise DataError("test_targets", "must be classes of train_targets", unseen[:5], "Leave them out.")
