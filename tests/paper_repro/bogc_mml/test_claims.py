import pytest

from bogc.data import MultimodalDataset
from bogc.methods import METHODS as KNOWN
from paper_repro.bogc_mml import claims
from paper_repro.bogc_mml.claims import (
    CONDITIONS,
    EXPERIMENT,
    METHODS,
    MISSING,
    SMALL,
    key,
    run_fold,
    spoilt,
    tasks,
)
from paper_repro.bogc_mml.config import TINY, ClaimsConfig, Design
from paper_repro.bogc_mml.training import Outcome, base_config, parts_of


def test_every_method_is_known_and_every_cell_has_a_task():
    assert set(METHODS) <= KNOWN.keys()
    design = EXPERIMENT.full.design
    assert len(tasks(EXPERIMENT.full)) == len(design.tasks) * len(CONDITIONS) * design.folds


def test_a_quick_run_gives_every_method_under_the_clean_condition_and_one_modality_missing():
    values = run_fold(EXPERIMENT.quick, TINY, "clean", 0)
    expected = {key("synthetic", condition, method) for condition in ("clean", MISSING) for method in METHODS}
    assert values.keys() == expected
    for method in METHODS:
        assert 0 < values[key("synthetic", MISSING, method)] <= values[key("synthetic", "clean", method)] <= 1


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_change_what_they_say(condition: str):
    train: MultimodalDataset = parts_of(base_config(TINY, 0, 0.1, 8)).train
    changed = spoilt(ClaimsConfig(), TINY, condition, seed=0)(train)
    labels = (changed.targets != train.targets).any()
    inputs = changed.inputs["strong"] is not train.inputs["strong"]
    assert (labels, inputs) == {
        "clean": (False, False), "label noise": (True, False), "one noisy modality": (False, True),
        "small batches": (False, False),
    }[condition]  # fmt: skip


def test_validation_chooses_and_only_small_batches_are_small(monkeypatch: pytest.MonkeyPatch):
    sizes = set()

    def pretend(config, parts):
        sizes.add(config.batch_size)
        better = config.lr == 0.2
        return Outcome(0.9 if better else 0.1, 0.5 if better else 0.8, (("a", 0.4), ("b", 0.2)))

    monkeypatch.setattr(claims, "validate_and_test", pretend)
    config = ClaimsConfig(Design((TINY,), 1, (0.1, 0.2)))
    assert set(run_fold(config, TINY, SMALL, 0).values()) == {0.5}
    assert sizes == {config.small}
    values = run_fold(config, TINY, "clean", 0)
    assert values[key("synthetic", "clean", "bogc")] == 0.5
    assert values[key("synthetic", MISSING, "bogc")] == 0.2
    assert sizes == {config.small, 64}
