from pathlib import Path

import numpy as np
import pytest

import paper_repro
from paper_repro.huang_simulation.config import HuangConfig
from paper_repro.huang_simulation.run import EXPERIMENT, key, run_seed, tasks
from paper_repro.huang_simulation.simulation import best_mse, expected_mse
from paper_repro.ledger import read_published
from paper_repro.results import FILE, read_results

SMALL = HuangConfig(overlaps=(0.5, 1.0), train=600, test=500, seeds=2)


def test_a_run_is_a_function_of_its_seed():
    first, again, other = run_seed(SMALL, 0), run_seed(SMALL, 0), run_seed(SMALL, 1)
    assert first == again
    assert first[key(0.5, 1)] != other[key(0.5, 1)]
    assert first.keys() == {key(w, k) for w in SMALL.overlaps for k in range(1, 5)}


def test_more_modalities_less_error():
    errors = run_seed(SMALL, 0)
    held = [errors[key(0.5, k)] for k in range(1, 5)]
    assert held == sorted(held, reverse=True)
    assert held[3] < 1e-18
    assert all(errors[key(1.0, k)] < 1e-18 for k in range(1, 5))


def test_quick_configuration_runs():
    values = [task() for task in tasks(EXPERIMENT.quick).values()]
    assert len(values) == 2
    assert set(values[0]) <= {series.key for series in EXPERIMENT.series}


def test_every_cell_of_the_table_is_answered_by_its_own_series():
    rows = {row.row: row for row in read_published() if row.dataset.startswith("simulation")}
    answered = {series.row: series for series in EXPERIMENT.series}
    assert answered.keys() == rows.keys()
    counts = {"modality 1": 1, "modalities 1 and 2": 2, "modalities 1 to 3": 3, "all four modalities": 4}
    for name, row in rows.items():
        k, w = counts[row.method], float(row.dataset.split("=")[1])
        assert answered[name].key == key(w, k)
        assert answered[name].exact == best_mse(k, w)


def test_published_values_lie_up_to_five_percent_above_theory():
    rows = {row.row: row for row in read_published()}
    ratios = [rows[s.row].number / s.exact for s in EXPERIMENT.series if s.exact]
    assert len(ratios) == 12
    assert min(ratios) > 1
    assert max(ratios) < 1.05


def test_stored_values_agree_with_the_theory_of_least_squares():
    """Each of the 12 means lies within 5 standard errors; one of them does not once in 110 times."""
    results = read_results(Path(paper_repro.__file__).parent / EXPERIMENT.folder / FILE)
    config = EXPERIMENT.full
    for w in config.overlaps:
        for k in range(1, 5):
            values = np.array(list(results.values_of(key(w, k)).values()))
            expected = expected_mse(k, w, config.train)
            assert abs(values.mean() - expected) <= 5 * values.std(ddof=1) / np.sqrt(len(values)) + 1e-18
            assert pytest.approx(best_mse(k, w), rel=0.06, abs=1e-18) == values.mean()
