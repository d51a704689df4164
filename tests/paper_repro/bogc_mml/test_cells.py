import numpy as np
import pytest

from bogc.training.statistics import mean_interval
from paper_repro.bogc_mml.cells import (
    OVERLAP,
    cells_of,
    difference,
    flat,
    main_effect,
    mean_of_datasets,
    p_value,
)
from paper_repro.results import Results, finished

CELLS = {"a": {"x": [1.0, 2.0], "y": [6.0]}, "b": {"x": [0.5, 1.0], "y": [4.5]}}


def test_cells_are_read_by_data_set_in_the_order_of_runs_and_empty_ones_left_out():
    runs = {
        "x 0": finished({"x a": 1.0, "x b": 0.5}, 0),
        "x 1": finished({"x a": 2.0, "x b": 1.0}, 0),
        "y 0": finished({"y a": 6.0, "y b": 4.5}, 0),
    }
    results = Results("made", {}, "h", runs)
    found = cells_of(results, ["x", "y", "z"], ["a", "b", "c"], lambda dataset, name: f"{dataset} {name}")
    assert found == CELLS


def test_means_and_differences():
    assert flat(CELLS["a"]) == [1.0, 2.0, 6.0]
    assert mean_of_datasets(CELLS["a"]) == 3.75
    assert difference(CELLS, "a", "b") == mean_interval([0.5, 1.0, 1.5], OVERLAP)
    t = 1 / (0.5 * (1 / 3 + OVERLAP) ** 0.5)  # mean 1, standard deviation 0.5, three cells
    assert p_value(CELLS, "a", "b") == pytest.approx(1 - t / (2 + t**2) ** 0.5)  # Student's t, 2 degrees


def test_main_effect_recovers_an_additive_model():
    """Accuracy = effect of the first factor + effect of the second + cell: effects less their own mean."""
    first, second, cell = np.array([0.0, 1.0, 5.0]), np.array([2.0, -2.0]), np.array([10.0, 20.0, 30.0])
    table = first[:, None, None] + second[None, :, None] + cell[None, None, :]
    assert [main_effect(table, 0, level).mean for level in range(3)] == pytest.approx([-2, -1, 3])
    assert [main_effect(table, 1, level).mean for level in range(2)] == pytest.approx([2, -2])
    assert main_effect(table, 0, 0).half == pytest.approx(0)
