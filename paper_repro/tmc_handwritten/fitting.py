"""Training by Adam, and the epoch that validation chooses."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.training.state import batch_order
from paper_repro.tmc_handwritten.classifiers import Classifier
from paper_repro.tmc_handwritten.config import TmcConfig


def accuracy_percent(model: Classifier, part: MultimodalDataset) -> float:
    """Share of right predictions, in percent."""
    with torch.no_grad():
        predicted = model.scores(part.inputs).argmax(-1)
    return 100 * (predicted == part.targets).double().mean().item()


def fit(
    model: Classifier,
    train: MultimodalDataset,
    config: TmcConfig,
    rate: float,
    seed: int,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Train in place for ``config.epochs`` epochs; ``after_epoch`` is told each epoch's number, from 0."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=config.weight_decay)
    for epoch in range(config.epochs):
        for batch in batch_order(len(train), config.batch_size, seed, epoch):
            inputs = {view: value[batch] for view, value in train.inputs.items()}
            optimiser.zero_grad()
            model.loss(inputs, train.targets[batch], epoch).backward()
            optimiser.step()
        after_epoch(epoch)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best epoch of a run by validation.

    Attributes:
        accuracy: On validation samples, percent.
        loss: On validation samples, mean, with the full weight of the divergence.
        epoch: Counted from 0.
        parameters: The model's state after it.
    """

    accuracy: float
    loss: float
    epoch: int
    parameters: Mapping[str, Tensor]

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better: accuracy first, then the smaller loss."""
        return self.accuracy, -self.loss


def fit_and_choose(
    model: Classifier,
    train: MultimodalDataset,
    validation: MultimodalDataset,
    config: TmcConfig,
    rate: float,
    seed: int,
) -> Chosen:
    """Train, and return the epoch of the best validation accuracy; ties go to the smaller loss."""
    best: list[Chosen] = []

    def judge(epoch: int) -> None:
        accuracy = accuracy_percent(model, validation)
        if best and accuracy < best[0].accuracy:
            return
        with torch.no_grad():
            loss = model.loss(validation.inputs, validation.targets, config.epochs).item()
        found = Chosen(accuracy, loss, epoch, copy.deepcopy(model.state_dict()))
        if not best or found.rank > best[0].rank:
            best[:] = [found]

    fit(model, train, config, rate, seed, judge)
    return best[0]
