from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bogc.errors import ConfigError, DataError
from paper_repro.__main__ import app
from paper_repro.huang_iemocap import run as module
from paper_repro.huang_iemocap.fitting import Fit
from paper_repro.huang_iemocap.run import EXPERIMENT, empty_slots, run_validated, tasks
from paper_repro.results import FILE, carry_out, read_results


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("folder")
def test_one_command_gives_every_series(tmp_path: Path):
    arguments = ["run", "huang-iemocap", "--quick", "--jobs", "1", "--folder", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    results = read_results(tmp_path / "out" / EXPERIMENT.folder / FILE)
    assert results is not None
    for series in EXPERIMENT.series:
        values = results.values_of(series.key)
        assert len(values) == 1, series.key
        assert all(0 <= value <= 100 for value in values.values())


@pytest.mark.usefixtures("folder")
def test_empty_slots_are_those_behind_the_utterances():
    lengths = [6 + i % 4 for i in range(18)]
    assert empty_slots()["empty slots"] == pytest.approx(100 * (1 - sum(lengths) / (18 * 9)))


@pytest.mark.usefixtures("folder")
def test_held_out_dialogues_are_whole_and_choose_the_epoch(monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []

    def watched(train, scored, config, seed) -> Fit:
        sizes.extend([len(train.emotions), *(len(part.emotions) for part in scored)])
        return Fit(None, [[10.0, 90.0], [50.0, 40.0], [50.0, 60.0]])

    monkeypatch.setattr(module, "fit", watched)
    assert run_validated(EXPERIMENT.quick, "TA", 0) == {"TA, validated": 40.0}
    lengths = [6 + i % 4 for i in range(18)]
    assert sizes[0] + sizes[1] == sum(lengths[:12])
    assert 3 * 6 <= sizes[1] <= 3 * 9  # a quarter of twelve dialogues
    assert sizes[2] == sum(lengths[12:])


def test_full_configuration_has_five_seeds_of_every_row():
    named = tasks(EXPERIMENT.full)
    assert len(named) == 1 + 4 * 5 * (3 + 2)
    assert "TVA, share 1.0, seed 4" in named


def test_absent_and_hostile_data_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "IEMOCAP_features_raw.pkl").write_bytes(b"cos\nsystem\n(Vtrue\ntR.")
    with pytest.raises(DataError, match=r"arrays and plain values only; found the name os\.system"):
        carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
    monkeypatch.delenv("BOGC_IEMOCAP_DIALOGUES")
    with pytest.raises(ConfigError, match="BOGC_IEMOCAP_DIALOGUES must name the folder"):
        carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
