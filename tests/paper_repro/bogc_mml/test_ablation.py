from dataclasses import replace

import pytest

from bogc.training.config import TrainConfig
from paper_repro.bogc_mml import ablation
from paper_repro.bogc_mml.ablation import EXPERIMENT, INVERSE_VARIANCE, SUM, key, run_factorial, tasks
from paper_repro.bogc_mml.config import TINY, Design
from paper_repro.bogc_mml.training import Outcome, base_config, parts_of, validate
from paper_repro.bogc_mml.variants import BASE_NAME, FACTORS, SINGLE, combinations, combined, name_of, single
from paper_repro.results import FILE, carry_out


def test_quick_configuration_runs_every_variant_and_the_comparators(tmp_path):
    results = carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
    names = [BASE_NAME, "frame: reliability", SUM, INVERSE_VARIANCE]
    assert list(results.runs) == ["single, synthetic, fold 0"]
    [values] = [run.values for run in results.runs.values()]
    assert list(values) == [key("synthetic", name) for name in names]
    assert all(0 < value <= 1 for value in values.values())


def test_the_full_configuration_names_every_cell_of_both_designs():
    names = list(tasks(EXPERIMENT.full))
    full = EXPERIMENT.full
    single_cells = len(full.single.tasks) * full.single.folds
    factorial_cells = len(full.factorial.tasks) * full.factorial.folds * 10
    assert len(names) == single_cells + factorial_cells
    assert full.variants == tuple(SINGLE)


def test_the_better_learning_rate_counts(monkeypatch: pytest.MonkeyPatch):
    seen: list[TrainConfig] = []

    def pretend(config: TrainConfig, parts: object) -> Outcome:
        seen.append(config)
        return Outcome({0.1: 0.3, 0.2: 0.7, 0.3: 0.5}[config.lr])

    monkeypatch.setattr(ablation, "validate", pretend)
    monkeypatch.setattr(ablation, "parts_of", lambda config: None)
    values = run_factorial(Design((TINY,), 1, (0.1, 0.2, 0.3)), TINY, 0, "conjugate", "identity")
    assert set(values.values()) == {0.7}
    chosen = [levels for levels in combinations() if levels[:2] == ("conjugate", "identity")]
    assert list(values) == [key("synthetic", name) for name in [*map(name_of, chosen), SUM]]
    assert [c.calibration for c in seen[:-3:3]] == [combined(levels) for levels in chosen]
    assert [c.method for c in seen[-3:]] == ["sum"] * 3
    assert len(chosen) == len(FACTORS["frame"]) * len(FACTORS["weights"])


def test_a_variant_is_trained_with_its_own_settings():
    config = replace(base_config(TINY, 0, 0.05, 8), settings={"calibration": single("frame: reliability")})
    parts = parts_of(config)
    assert config.method == "bogc"
    assert validate(config, parts) == validate(config, parts)
