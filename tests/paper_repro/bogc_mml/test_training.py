from dataclasses import replace

import pytest
import torch

from bogc.errors import NonFiniteError
from paper_repro.bogc_mml import training
from paper_repro.bogc_mml.config import TINY
from paper_repro.bogc_mml.training import Outcome, base_config, parts_of, validate, validate_and_test

CONFIG = base_config(TINY, fold=1, rate=0.05, features=8)


def test_the_seed_is_the_fold_and_everything_is_repeatable():
    assert (CONFIG.seed, CONFIG.fold, CONFIG.features, CONFIG.epochs) == (1, 1, 8, 1)
    parts = parts_of(CONFIG)
    config = replace(CONFIG, method="sum")
    first, second = (validate_and_test(config, parts) for _ in range(2))
    assert first == second
    assert first.validation == validate(config, parts).validation
    assert validate(config, parts).test == 0.0


def test_the_outcome_holds_the_test_accuracy_of_the_best_epoch_and_each_removal():
    parts = parts_of(CONFIG)
    outcome = validate_and_test(replace(CONFIG, method="sum", epochs=3), parts)
    assert [name for name, _ in outcome.without] == list(parts.test.modalities)
    assert outcome.test > 1.5 / len(parts.test.class_names)
    assert outcome.test >= min(share for _, share in outcome.without)


def test_training_labels_are_what_is_trained_on():
    """With all training labels the same class, the network says that class everywhere."""
    parts = parts_of(CONFIG)
    spoilt = replace(parts, train=replace(parts.train, targets=torch.zeros_like(parts.train.targets)))
    outcome = validate_and_test(replace(CONFIG, method="sum", epochs=4, lr=0.1), spoilt)
    assert outcome.test == pytest.approx(float((parts.test.targets == 0).double().mean()))


def test_divergence_is_an_outcome(monkeypatch: pytest.MonkeyPatch):
    def diverge(*_):
        raise NonFiniteError("loss", "must be finite", "NaN", "Lower the learning rate.")

    monkeypatch.setattr(training, "fit", diverge)
    assert validate(CONFIG, parts_of(CONFIG)) == Outcome(0.0)
    assert validate_and_test(CONFIG, parts_of(CONFIG)) == Outcome(0.0)
