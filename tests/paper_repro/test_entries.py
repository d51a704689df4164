import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bogc.errors import DataError
from paper_repro.entries import flat, join, measure, read_all
from paper_repro.experiment import Series
from paper_repro.results import read_results
from paper_repro.status import Kind
from tests.paper_repro.made import experiment, published, write_results

VALUES = [9.9, 10.0, 10.02, 9.98, 10.1]
MADE = {"made": experiment()}


def test_a_measured_row_has_our_mean_interval_and_circumstances(tmp_path: Path):
    write_results(tmp_path, VALUES)
    [entry] = join([published("10.0", "0.3")], MADE, read_all(MADE, tmp_path))
    ours = entry.measured
    assert ours.interval.mean == pytest.approx(np.mean(VALUES))
    assert ours.interval.half == pytest.approx(stats.t.ppf(0.975, 4) * stats.sem(VALUES))
    assert ours.runs == tuple(f"seed {i}" for i in range(5))
    assert (ours.date, ours.hardware, ours.config_hash) == ("2020-01-01", "abacus", "0123456789")
    assert (entry.status.kind, entry.exact) == (Kind.REPRODUCED, 9.9)
    line = flat(entry)
    assert (line["value"], line["spread"], line["ours"], line["status"]) == (
        "10.0",
        "0.3",
        "10",
        "reproduced",
    )


def test_a_row_far_away_is_off(tmp_path: Path):
    write_results(tmp_path, VALUES)
    [entry] = join([published("11.0", "0.3")], MADE, read_all(MADE, tmp_path))
    assert entry.status.kind is Kind.OFF
    assert entry.status.difference == pytest.approx(np.mean(VALUES) - 11)


def test_a_row_without_results_names_the_command(tmp_path: Path):
    [entry] = join([published()], MADE, read_all(MADE, tmp_path))
    assert (entry.measured, entry.status.kind) == (None, Kind.NOT_RUN)
    assert entry.status.reason == "python -m paper_repro run made"
    assert flat(entry)["ours"] == ""


def test_a_row_without_experiment_says_what_it_needs():
    other = "audio-visual emotion, action recognition, medical imaging"
    rows = [published(row="a", dataset="BalancedAV"), published(row="b", dataset=other)]
    entries = join(rows, MADE, {"made": None})
    assert [entry.status.kind for entry in entries] == [Kind.NEEDS_DATA, Kind.NOT_AVAILABLE]
    assert "adapter not written yet" in entries[0].status.reason


def test_a_row_whose_experiment_waits_for_data_says_which_and_the_command():
    [entry] = join([published(dataset="CREMA-D")], MADE, {"made": None})
    assert entry.status.kind is Kind.NEEDS_DATA
    assert entry.status.reason.startswith("acted emotional clips, face and voice; ")
    assert entry.status.reason.endswith("; python -m paper_repro run made")


def test_a_row_of_unknown_data_is_refused():
    with pytest.raises(DataError, match="row x must have an experiment or an entry in NEEDS"):
        join([published(row="x", dataset="nothing")], MADE, {"made": None})


def test_an_up_to_is_judged_by_all_its_readings(tmp_path: Path):
    made = experiment()
    [series, other] = made.series
    made = {"made": replace(made, series=(replace(series, up_to=("level", "wide")), other))}
    path = write_results(tmp_path, VALUES)
    stored = json.loads(path.read_text())
    for number, run in enumerate(stored["runs"].values()):
        run["values"]["wide"] = 20.0 + number
    path.write_text(json.dumps(stored))
    for value, kind in (("9", Kind.REPRODUCED), ("15", Kind.INCONCLUSIVE), ("25", Kind.OFF)):
        [entry] = join([published(value)], made, read_all(made, tmp_path))
        assert (entry.status.kind, entry.status.difference) == (kind, None)
        assert entry.status.reason.endswith("9.9 to 10.1; 20 to 24")
        assert entry.measured.interval.mean == pytest.approx(np.mean(VALUES))


def test_a_series_without_values_is_not_measured(tmp_path: Path):
    results = read_results(write_results(tmp_path, VALUES))
    assert measure(Series("other", "x"), results) is None
    assert measure(Series("level", "x"), None) is None


def test_shared_training_data_widen_the_interval(tmp_path: Path):
    results = read_results(write_results(tmp_path, VALUES))
    plain, folds = (measure(Series("level", "x", overlap=o), results).interval.half for o in (0.0, 0.25))
    assert folds == pytest.approx(plain * np.sqrt(1 + 5 * 0.25))
