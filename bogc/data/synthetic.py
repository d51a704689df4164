"""Synthetic modalities whose best possible accuracy is known: class means far apart, and Gaussian noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from bogc.checks import check_number
from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError

_TAIL: Final = 12.0  # standard deviations beyond which a normal density is zero to double precision


@dataclass(frozen=True)
class SyntheticModality:
    """How one modality is made: x = signal * mean[class] + noise * standard normal, the means orthonormal.

    Attributes:
        width: Number of features; at least the number of classes, so that the means can be orthonormal.
        signal: Length of the mean of each class; zero or more, and 0 carries no information.
        noise: Standard deviation of each feature about the mean; positive.

    Raises:
        RangeError: A number is out of range.
    """

    width: int
    signal: float
    noise: float = 1.0

    def __post_init__(self) -> None:
        check_number("width", self.width, self.width >= 1, "must be at least 1", "Use more features.")
        valid = 0 <= self.signal < math.inf
        check_number("signal", self.signal, valid, "must be zero or more, and finite", "Use 0 for none.")
        valid = 0 < self.noise < math.inf
        check_number("noise", self.noise, valid, "must be positive and finite", "Lower the signal instead.")


DEFAULT: Final = {
    "strong": SyntheticModality(width=20, signal=3.0),
    "weak": SyntheticModality(width=20, signal=1.5),
    "faint": SyntheticModality(width=20, signal=0.3),
}
"""Modalities of the registered problem; with its four classes they allow an accuracy of 0.96, 0.70 and 0.33
alone, and 0.98 together (see :func:`bayes_accuracy`)."""


def load_synthetic(cache_dir: Path | None = None) -> MultimodalDataset:
    """Make the registered problem: 2,000 samples of 4 classes, and the modalities of ``DEFAULT``.

    Args:
        cache_dir: Not used, because nothing is fetched; every loader takes it.

    Returns:
        ``strong``, ``weak`` and ``faint``, each float32, [2000, 20].
    """
    return make_synthetic(2000, 4, DEFAULT, seed=0)


def make_synthetic(
    samples: int, classes: int, modalities: Mapping[str, SyntheticModality], seed: int
) -> MultimodalDataset:
    """Draw a data set; given the class, modalities are independent of each other.

    Args:
        samples: Their number n, at least one a class; classes come in turn.
        classes: Number of classes, at least 2.
        modalities: Name to how it is made; drawn in this order.
        seed: Of means and noise, in [0, 2**32).

    Returns:
        float32 [n, width] for each modality.

    Raises:
        RangeError: A number is out of range, or a modality has fewer features than there are classes.
        DataError: There is no modality.
    """
    _check_classes(classes, modalities)
    check_number("samples", samples, samples >= classes, f"must be at least {classes}", "Draw more.")
    check_number("seed", seed, 0 <= seed < 2**32, "must lie in [0, 2**32)", "Choose another seed.")
    if not modalities:
        raise DataError("modalities", "must hold at least one", "none", "Add a modality.")
    # RandomState, because its stream never changes: a seed names the same data under every numpy.
    random = np.random.RandomState(seed)
    targets = torch.arange(samples) % classes
    inputs = {name: _draw(modality, targets, classes, random) for name, modality in modalities.items()}
    return MultimodalDataset("synthetic", inputs, targets, tuple(map(str, range(classes))))


def bayes_accuracy(classes: int, *modalities: SyntheticModality) -> float:
    """Compute the best accuracy that any classifier of these modalities together can expect.

    With equally likely classes the best one takes the class k of the largest sum over modalities m of
    signal_m <x_m, mean_mk> / noise_m^2. The K sums are independent, normal, of variance d^2 = sum over m of
    (signal_m / noise_m)^2, and of mean d^2 for the true class and 0 for the others, so that it is right with
    probability integral phi(z - d) Phi(z)^(K - 1) dz.

    Args:
        classes: Number of classes K, at least 2.
        *modalities: Those seen; without any, 1 / K results.

    Returns:
        The probability, to about 1e-8 by adaptive quadrature.

    Raises:
        RangeError: There are fewer than two classes, or a modality has fewer features than classes.
    """
    _check_classes(classes, {str(index): modality for index, modality in enumerate(modalities)})
    from scipy.integrate import quad  # slow to import
    from scipy.special import ndtr

    distance = math.hypot(*(modality.signal / modality.noise for modality in modalities))

    def density(z: float) -> float:
        normal = math.exp(-((z - distance) ** 2) / 2) / math.sqrt(2 * math.pi)
        return float(normal * ndtr(z) ** (classes - 1))

    accuracy, _ = quad(density, distance - _TAIL, distance + _TAIL, epsabs=1e-10)
    return float(accuracy)


def _check_classes(classes: int, modalities: Mapping[str, SyntheticModality]) -> None:
    check_number("classes", classes, classes >= 2, "must be at least 2", "Use more classes.")
    for name, modality in modalities.items():
        rule = f"must be at least {classes}, the number of classes"
        width = modality.width
        check_number(f"modalities[{name!r}].width", width, width >= classes, rule, "Use more features.")


def _draw(
    modality: SyntheticModality, targets: Tensor, classes: int, random: np.random.RandomState
) -> Tensor:
    """Draw one modality, float32, [n, width]."""
    means = np.linalg.qr(random.standard_normal((modality.width, classes)))[0].T
    noise = random.standard_normal((len(targets), modality.width))
    return torch.from_numpy(modality.signal * means[targets.numpy()] + modality.noise * noise).float()
