import pickle
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bogc.errors import ConfigError, DataError
from paper_repro.__main__ import app
from paper_repro.affect.fitting import Epoch
from paper_repro.affect.run import IEMOCAP, MOSI, chosen, run
from paper_repro.experiment import Experiment
from paper_repro.results import FILE, carry_out, read_results


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


def check_every_series(experiment: Experiment, path: Path) -> None:
    results = read_results(path)
    assert results is not None
    assert len(results.runs) == 3
    for series in experiment.series:
        values = results.values_of(series.key)
        assert len(values) == 1, series.key
        assert all(0 <= value <= 100 for value in values.values())


@pytest.mark.usefixtures("mosi_folder", "iemocap_folder")
@pytest.mark.parametrize("experiment", [MOSI, IEMOCAP], ids=lambda e: e.name)
def test_one_command_gives_every_series(experiment: Experiment, tmp_path: Path):
    arguments = ["run", experiment.name, "--quick", "--jobs", "1", "--folder", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    check_every_series(experiment, tmp_path / "out" / experiment.folder / FILE)


@pytest.mark.parametrize("experiment", [MOSI, IEMOCAP], ids=lambda e: e.name)
def test_full_configuration_has_five_seeds_of_every_method(experiment: Experiment):
    named = experiment.tasks(experiment.full)
    assert len(named) == 15
    assert "CGGM as released, seed 4" in named


def test_without_the_data_the_run_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for experiment, variable in ((MOSI, "BOGC_CMU_MOSI"), (IEMOCAP, "BOGC_IEMOCAP")):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(ConfigError, match=f"{variable} must name the folder"):
            carry_out(experiment, experiment.quick, tmp_path / experiment.name / FILE)


class Attack:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_pickle_with_code_is_refused_before_anything_runs(
    mosi_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (mosi_folder / "mosi_data.pkl").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(DataError, match="must hold arrays and plain values only"):
        carry_out(MOSI, MOSI.quick, tmp_path / FILE)
    assert capsys.readouterr().out == ""
    assert not (tmp_path / FILE).exists()


def test_the_first_of_the_best_epochs_is_chosen():
    epochs = [Epoch({"accuracy": a}, {"accuracy": t}) for a, t in ((10.0, 90.0), (50.0, 40.0), (50.0, 60.0))]
    assert chosen(epochs) is epochs[1]


@pytest.mark.usefixtures("mosi_folder")
def test_released_scores_are_of_the_validation_part(monkeypatch: pytest.MonkeyPatch):
    epoch = Epoch({"loss": 1.0, "accuracy": 70.0, "mae": 0.9}, {"loss": 2.0, "accuracy": 60.0, "mae": 1.1})
    monkeypatch.setattr("paper_repro.affect.run.fit", lambda *arguments: [epoch])
    assert run(lambda: None, MOSI.quick, "joint", 0) == {
        "released, joint, accuracy": 70.0,
        "released, joint, mae": 0.9,
        "validated, joint, accuracy": 60.0,
        "validated, joint, mae": 1.1,
    }
