from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bogc.errors import ConfigError, DataError
from paper_repro.__main__ import app
from paper_repro.brats import run as module
from paper_repro.brats.fitting import Epoch
from paper_repro.brats.run import EXPERIMENT, run, tasks
from paper_repro.readers.brats import make_brats
from paper_repro.results import FILE, carry_out, read_results
from tests.paper_repro.readers.volumes import write_patients


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


def test_one_command_gives_every_series_from_the_organisers_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_brats(write_patients(tmp_path / "raw", count=4), tmp_path / "brats")
    monkeypatch.setenv("BOGC_BRATS", str(tmp_path / "brats"))
    arguments = ["run", "cggm-brats", "--quick", "--jobs", "1", "--folder", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    results = read_results(tmp_path / "out" / EXPERIMENT.folder / FILE)
    assert results is not None
    for series in EXPERIMENT.series:
        values = results.values_of(series.key)
        assert len(values) == 1, series.key
        assert all(0 <= value <= 100 for value in values.values())


@pytest.mark.usefixtures("patients")
def test_the_first_best_epoch_is_reported_by_both_protocols(monkeypatch: pytest.MonkeyPatch):
    epochs = [Epoch(10.0, 90.0), Epoch(50.0, 40.0), Epoch(50.0, 60.0)]
    monkeypatch.setattr(module, "fit", lambda *arguments: epochs)
    assert run(EXPERIMENT.quick, "joint", 0) == {"released, joint": 50.0, "validated, joint": 40.0}


def test_full_configuration_has_five_seeds_of_every_method():
    named = tasks(EXPERIMENT.full)
    assert len(named) == 15
    assert "CGGM as released, seed 4" in named


def test_absent_and_damaged_data_are_refused(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (patients / "train" / "patient0.npz").write_bytes(b"PK damaged")
    with pytest.raises(DataError, match=r"patient0\.npz must be a file \.npz of arrays"):
        carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
    monkeypatch.delenv("BOGC_BRATS")
    with pytest.raises(ConfigError, match="BOGC_BRATS must name the folder"):
        carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
