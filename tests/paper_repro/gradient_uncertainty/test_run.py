import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paper_repro.document import Table
from paper_repro.gradient_uncertainty import __main__ as command
from paper_repro.gradient_uncertainty import headline
from paper_repro.gradient_uncertainty.findings import GOALS, blocks, goals, readme_blocks
from paper_repro.gradient_uncertainty.pictures import PICTURES, over_training
from paper_repro.gradient_uncertainty.run import EXPERIMENT, movement, tasks
from paper_repro.results import FILE, Results, carry_out, finished, read_results

FOLDER = Path(command.__file__).parent


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    torch.set_default_dtype(torch.float32)
    path = tmp_path_factory.mktemp("uncertainty") / FILE
    found = carry_out(EXPERIMENT, replace(EXPERIMENT.quick, former=("synthetic",)), path)
    torch.set_default_dtype(torch.float64)
    return found


def test_quick_runs_measure_every_series(results: Results):
    assert list(results.runs) == ["synthetic 64, sum, seed 0", "synthetic 64, bogc, seed 0"]
    assert all(len(results.values_of(series.key)) == 2 for series in EXPERIMENT.series)
    for run in results.runs.values():
        assert all(math.isfinite(value) for value in run.values.values())
        assert 0.5 < run.values["coverage 0.9 | default"] <= 1
        assert run.values["coverage 0.3 | default"] < run.values["coverage 0.9 | default"]
    assert "coverage 0.9 | former" in results.runs["synthetic 64, sum, seed 0"].values


def test_a_part_of_the_full_experiment_has_every_data_set():
    full = EXPERIMENT.full
    names = list(tasks(full))
    assert len(names) == len(set(names)) == sum(seeds for *_, seeds in full.settings) * len(full.trainers)
    assert all(name.endswith("seed 0") for name in names[: len(full.settings) * len(full.trainers)])


def test_movement_counts_layers_that_flip_once_settled():
    calm = [0.5 + 0.01 * (step % 2) for step in range(60)]
    found = movement({("a", "x"): calm, ("a", "y"): [*calm[:30], 1.2, *calm[31:]]}, 16)
    assert found["flips"] == 1
    assert found["largest movement of u"] == pytest.approx(0.69)
    assert movement({("a", "x"): [0.0, 1.0, *calm]}, 16)["flips"] == 0
    assert movement({("a", "x"): calm}, 16)["movement of u"] == pytest.approx(0.01)


def test_goals_are_met_or_missed_as_measured(results: Results):
    [run] = [run.values for name, run in results.runs.items() if ", sum," in name]
    good = run | {
        "coverage 0.9 | default": 0.9,
        "coverage 0.5 | default": 0.7,
        "u | default": 0.5,
        "true u, root | default": 0.61,
    }
    made = replace(results, runs={"synthetic 64, sum, seed 0": finished(good, 1.0)})
    verdicts = {row[0]: row[-1] for row in goals(made).rows}
    first, second, third, *_ = (verdicts[goal] for goal in GOALS)
    assert (first, second, third) == ("met", "missed: synthetic 64", "missed: synthetic 64")


def test_pictures_and_tables_are_drawn_from_results(results: Results):
    assert all(draw(results).axes for draw in PICTURES.values())
    shown = [block for block in readme_blocks(results) if isinstance(block, Table)]
    assert all(table.rows for table in shown)
    assert len(blocks(results)) == 3
    empty = replace(results, runs={})
    assert all(draw(empty).axes for draw in PICTURES.values())


def test_the_headline_shows_u_at_every_step_and_the_truth_at_moments(tmp_path: Path, strict: None):
    torch.set_default_dtype(torch.float32)
    config = replace(EXPERIMENT.quick, steps=12, moments=(4, 9), reference=4)
    path = tmp_path / headline.FILE
    seen = headline.read_or_train(path, config, "synthetic")
    for losses in seen.values():
        for found in losses.values():
            assert found["first"] == 4
            assert len(found["path"]) == 8
            assert all(0 <= u <= 1 for u in [*found["path"], *found["truth"].values()])
    assert headline.read_or_train(path) == json.loads(path.read_text()) == seen
    drawn = over_training(seen, config.steps).axes
    assert drawn[0].get_title() == next(iter(seen))
    assert len(drawn[0].lines) == 2 * len(next(iter(seen.values())))


def test_what_is_stored_is_what_the_stored_results_give():
    stored = read_results(FOLDER / FILE)
    assert stored is not None
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert command.with_results(text, stored) == text, "run `python -m paper_repro.gradient_uncertainty`"
    assert all((FOLDER / name).exists() for name in (*PICTURES, headline.FILE))
