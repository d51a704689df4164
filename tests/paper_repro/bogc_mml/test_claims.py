from dataclasses import replace

import pytest

from bogc.data import MultimodalDataset
from bogc.errors import RangeError
from paper_repro.bogc_mml import claims
from paper_repro.bogc_mml.claims import (
    CLEAN,
    CONDITIONS,
    EXPERIMENT,
    LABELS,
    OPTIMISERS,
    Cell,
    ClaimsConfig,
    key,
    run_cell,
    spoilt,
    tasks,
)
from paper_repro.bogc_mml.config import TINY
from paper_repro.bogc_mml.contestants import CONTESTANTS
from paper_repro.bogc_mml.training import Outcome, base_config, parts_of


def test_every_cell_has_a_run_a_contestant_fold_by_fold_and_slow_ones_last():
    config = EXPERIMENT.full
    names = list(tasks(config))
    assert len(names) == len(config.tasks) * len(CONDITIONS) * len(OPTIMISERS) * 5 * len(CONTESTANTS)
    folds = [int(name.split("fold ")[1][0]) for name in names]
    first = len(config.tasks) * 2 * len(OPTIMISERS) * (len(CONTESTANTS) - 1)
    assert folds[: 5 * first] == [fold for fold in range(5) for _ in range(first)]
    slow = [name.endswith("laplace") for name in names]
    assert slow == sorted(slow)


def test_a_quick_run_gives_accuracy_likelihood_and_the_worst_missing_modality():
    values = run_cell(EXPERIMENT.quick, Cell(TINY, CLEAN, "adamw", 0), "plain sum, averaged")
    cell = "synthetic, clean, adamw"
    found = {
        name: values.pop(key(cell, "plain sum, averaged", name)) for name in ("accuracy", "missing", "nll")
    }
    assert values.keys() == {key(cell, "plain sum, averaged", "validation")}
    assert 0 < found["missing"] <= found["accuracy"] <= 1
    assert found["nll"] > 0


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_change_what_they_say(condition: str):
    train: MultimodalDataset = parts_of(base_config(TINY, 0, 0.1, 8)).train
    changed = spoilt(ClaimsConfig(), Cell(TINY, condition, "sgd", 0), train)
    labels = (changed.targets != train.targets).any()
    inputs = changed.inputs["strong"] is not train.inputs["strong"]
    assert (labels, inputs) == {
        "clean": (False, False), "wrong labels, small batches": (True, False),
        "one noisy modality": (False, True),
    }[condition]  # fmt: skip


def test_validation_chooses_the_trial_and_only_small_batches_are_small(monkeypatch: pytest.MonkeyPatch):
    sizes, epochs, tried = set(), set(), []

    def pretend(config, parts):
        sizes.add(config.batch_size)
        epochs.add(config.epochs)
        tried.append(config.lr)
        better = len(tried) % 4 == 2
        return Outcome(0.9 if better else 0.1, 0.5 if better else 0.8, (("a", 0.4), ("b", 0.2)), 1.0, 0.7)

    monkeypatch.setattr(claims, "validate_and_test", pretend)
    task = replace(TINY, epochs=8)
    values = run_cell(ClaimsConfig((task,)), Cell(task, LABELS, "sgd", 0), "plain sum")
    assert set(values.values()) == {0.5, 0.9, 0.7}
    assert (sizes, epochs) == ({16}, {2})
    values = run_cell(ClaimsConfig((task,)), Cell(task, CLEAN, "sgd", 0), "plain sum")
    assert values[key("synthetic, clean, sgd", "plain sum", "missing")] == 0.2
    assert (sizes, epochs) == ({16, 64}, {2, 8})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"folds": 6}, r"folds must lie in 1 .. 5; found 6"),
        ({"trials": 0}, "trials must be at least 1; found 0"),
        ({"flipped": 0.0}, r"flipped must lie in \(0, 1\]; found 0.0"),
        ({"small": 1}, "small must be at least 2; found 1"),
    ],
)
def test_impossible_settings_are_refused(changed, message):
    with pytest.raises(RangeError, match=message):
        ClaimsConfig(**changed)
