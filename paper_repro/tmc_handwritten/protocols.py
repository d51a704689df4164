"""From a split of the digits to one accuracy, as released and as it ought to be."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch

from bogc.data import load_dataset
from bogc.data.dataset import MultimodalDataset
from bogc.data.splits import Split, stratified_folds
from bogc.training.state import reproducible
from paper_repro.tmc_handwritten.classifiers import Classifier, ConcatenationClassifier, TrustedClassifier
from paper_repro.tmc_handwritten.config import TmcConfig
from paper_repro.tmc_handwritten.fitting import accuracy_percent, fit, fit_and_choose
from paper_repro.tmc_handwritten.scaling import min_max

RELEASED_SPLIT: Final = Path(__file__).with_name("released_split.json")
VIEWS: Final = ("pix", "fou", "fac", "zer", "kar", "mor")  # the order in which the released code fuses
Build = Callable[[TmcConfig], Classifier]


@lru_cache(maxsize=1)
def digits() -> MultimodalDataset:
    """Load the data set once."""
    return load_dataset("mfeat")


def trusted(config: TmcConfig) -> Classifier:
    """Make the classifier of the paper."""
    return TrustedClassifier(_features(), config.annealing_epochs)


def concatenation(config: TmcConfig) -> Classifier:
    """Make the baseline."""
    return ConcatenationClassifier(_features(), config.hidden)


def released_split(dataset: MultimodalDataset) -> tuple[MultimodalDataset, MultimodalDataset]:
    """Training and test samples of the released file: 160 and 40 of each digit, the same for every seed."""
    test = torch.tensor(json.loads(RELEASED_SPLIT.read_text(encoding="utf-8"))["test"]).flatten()
    is_train = torch.ones(len(dataset), dtype=torch.bool)
    is_train[test] = False
    return dataset.subset(is_train.nonzero().squeeze(-1)), dataset.subset(test)


def fold_split(dataset: MultimodalDataset, config: TmcConfig, fold: int) -> Split:
    """Fold number ``fold`` of ``config.shuffles`` times ``config.folds``, stratified by digit."""
    return stratified_folds(dataset.targets, config.folds, fold % config.folds, fold // config.folds)


def as_released(
    train: MultimodalDataset, test: MultimodalDataset, config: TmcConfig, rate: float, seed: int
) -> float:
    """Test accuracy in percent after the last epoch, each part scaled by itself."""
    with reproducible(seed):
        model = trusted(config)
        fit(model, min_max(train, train), config, rate, seed)
    return accuracy_percent(model, min_max(test, test))


def honest(
    dataset: MultimodalDataset, split: Split, config: TmcConfig, build: Build, seed: int
) -> dict[str, float]:
    """Scale by training samples; choose rate and epoch by validation; test once.

    Returns:
        ``accuracy`` on test in percent, and what was chosen: ``rate`` and ``epoch``, counted from 1.
    """
    seen = dataset.subset(split.train)
    parts = (split.train, split.validation, split.test)
    train, validation, test = (min_max(dataset.subset(indices), seen) for indices in parts)
    found = {}
    with reproducible(seed):
        for rate in config.rates:
            model = build(config)
            found[rate] = fit_and_choose(model, train, validation, config, rate, seed)
    best = max(found, key=lambda rate: found[rate].rank)
    model.load_state_dict(dict(found[best].parameters))
    return {
        "accuracy": accuracy_percent(model, test),
        "rate": best,
        "epoch": found[best].epoch + 1.0,
    }


def _features() -> dict[str, int]:
    return {view: digits().inputs[view].shape[1] for view in VIEWS}
