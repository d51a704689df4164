"""From digits to errors: features without labels, a linear classifier, halves taken away in the test."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.svm import LinearSVC
from torch import Tensor

from bogc.data import load_dataset
from bogc.data.mnist_halves import PUBLISHED_TRAIN
from bogc.models.generative import MultimodalBernoulliRBM, Objective, Schedule
from paper_repro.mnist_halves.config import MnistHalvesConfig

HALVES: Final = ("left", "right")
VALIDATION_START: Final = 50_000
END: Final = 70_000


@dataclass(frozen=True, eq=False)
class Digits:
    """Some digits.

    Attributes:
        inputs: Half -> grey values [n, 392], in [0, 1].
        labels: [n], 0 to 9.
    """

    inputs: Mapping[str, Tensor]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Errors:
    """What one trained model gives.

    Attributes:
        test: Name of the halves seen -> test error, percent.
        settled: Half seen -> test digits whose filling settled before the last round, percent.
        cost: C that validation chose.
        validation: Its error, percent.
    """

    test: Mapping[str, float]
    settled: Mapping[str, float]
    cost: float
    validation: float


def evenly(start: int, stop: int, count: int) -> Tensor:
    """Give ``count`` of the positions start .. stop - 1, evenly spaced: all of them if there are no more."""
    return start + torch.arange(count) * (stop - start) // count


@lru_cache(maxsize=1)
def digits(train: int, validation: int, test: int) -> tuple[Digits, Digits, Digits]:
    """Load the three parts, of these sizes."""
    dataset = load_dataset("mnist-halves")
    bounds = (
        (0, VALIDATION_START, train),
        (VALIDATION_START, PUBLISHED_TRAIN, validation),
        (PUBLISHED_TRAIN, END, test),
    )
    rows = [evenly(*bound) for bound in bounds]
    first, second, third = (
        Digits({half: dataset.inputs[half][r].flatten(1) for half in HALVES}, dataset.targets[r].numpy())
        for r in rows
    )
    return first, second, third


def device() -> str:
    """Where to train: a GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def evaluate(
    objective: Objective, config: MnistHalvesConfig, seed: int, parts: tuple[Digits, Digits, Digits]
) -> Errors:
    """Train without labels, fit a linear machine on the features of whole digits, test it on halves."""
    train, validation, test = parts
    model = MultimodalBernoulliRBM(
        hidden=config.hidden,
        objective=objective,
        schedule=Schedule(epochs=config.epochs),
        fill_rounds=config.most_rounds,
        tolerance=config.tolerance,
        seed=seed,
        device=device(),
    ).fit(train.inputs)
    machine, cost, error = choose_machine(
        model.transform(train.inputs),
        train.labels,
        model.transform(validation.inputs),
        validation.labels,
        config.costs,
    )
    errors = {"both": error_percent(machine, model.transform(test.inputs), test.labels)}
    settled = {}
    for half in HALVES:
        filled = model.fill({half: test.inputs[half]})
        errors[half] = error_percent(machine, filled.hidden.cpu().numpy(), test.labels)
        settled[half] = 100 * float(filled.converged.double().mean())
    return Errors(errors, settled, cost, error)


def choose_machine(
    features: NDArray[Any],
    labels: NDArray[np.int64],
    unseen: NDArray[Any],
    unseen_labels: NDArray[np.int64],
    costs: tuple[float, ...],
) -> tuple[LinearSVC, float, float]:
    """Fit one linear machine with squared hinge loss for each C, and keep the best on ``unseen``.

    Returns:
        The machine, its C and its error on ``unseen`` in percent; of equals, the first C.
    """
    machines = [LinearSVC(C=cost, dual=False, max_iter=5000).fit(features, labels) for cost in costs]
    errors = [error_percent(machine, unseen, unseen_labels) for machine in machines]
    best = int(np.argmin(errors))
    return machines[best], costs[best], errors[best]


def error_percent(machine: LinearSVC, features: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of wrong answers, in percent."""
    return 100 * float(np.mean(machine.predict(features) != labels))
