import math
from pathlib import Path

import pytest

from paper_repro.gradient_uncertainty import __main__ as command
from paper_repro.gradient_uncertainty.findings import blocks, readme_blocks, values
from paper_repro.gradient_uncertainty.pictures import PICTURES
from paper_repro.gradient_uncertainty.run import EXPERIMENT, tasks
from paper_repro.gradient_uncertainty.table import ESTIMATORS, PRIORS, ROUTES, STUDENT
from paper_repro.results import FILE, Results, carry_out, read_results

FOLDER = Path(command.__file__).parent


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path_factory.mktemp("uncertainty") / FILE)


def test_quick_run_measures_every_choice(results: Results):
    [run] = results.runs.values()
    for estimator in ESTIMATORS:
        for prior in PRIORS:
            for law in (*ROUTES, STUDENT):
                assert 0 <= run.values[f"coverage 0.9 | {estimator} | {prior} | {law}"] <= 1
    assert all(math.isfinite(value) for value in run.values.values())


def test_shares_and_correlations_are_in_range(results: Results):
    [run] = results.runs.values()
    for key, value in run.values.items():
        if " ~ " in key or key.startswith(("cosine |", "u - true u")):
            assert -1 <= value <= 1, key
        elif key.startswith(("coverage", "sign error", "fused sign error", "share", "true u")):
            assert 0 <= value <= 1, key
        elif key.startswith(("squared error", "noise ratio", "pooled")):
            assert value >= 0, key


def test_wider_intervals_hold_more(results: Results):
    [run] = results.runs.values()
    narrow, wide = (run.values[f"coverage {c} | per-sample | block | normal"] for c in (0.3, 0.9))
    assert narrow < wide


def test_every_series_is_measured(results: Results):
    assert all(results.values_of(series.key) for series in EXPERIMENT.series)


def test_full_experiment_has_every_data_set_before_the_next_seed():
    names = list(tasks(EXPERIMENT.full))
    first = names[: len(EXPERIMENT.full.datasets)]
    assert [name.split(",")[0] for name in first] == list(EXPERIMENT.full.datasets)
    assert {name.split(", ")[1] for name in names} == set(EXPERIMENT.full.trainers)


def test_pictures_and_tables_are_drawn_from_results(results: Results):
    reliability = PICTURES["reliability.png"](results)
    drawn = {line.get_label(): list(line.get_ydata()) for line in reliability.axes[0].lines}
    key = "coverage 0.9 | streaming 0.9 | block | normal"
    assert values(results, key)[0] in drawn["block"]
    for draw in PICTURES.values():
        assert draw(results).axes
    shown = [block.rows for block in readme_blocks(results) if hasattr(block, "rows")]
    assert all(shown)
    assert len(blocks(results)) > 3


def test_stored_readme_is_what_the_stored_results_give():
    stored = read_results(FOLDER / FILE)
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    if stored is None:
        assert "<!-- results -->" in text
        return
    assert command.with_results(text, stored) == text, "run `python -m paper_repro.gradient_uncertainty`"
    assert all((FOLDER / name).exists() for name in PICTURES)
