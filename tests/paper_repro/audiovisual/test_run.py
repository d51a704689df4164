from pathlib import Path

import pytest
import torch

from bogc.errors import ConfigError
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.fitting import Epoch
from paper_repro.audiovisual.run import EXPERIMENT, chosen, held_out, tasks
from paper_repro.results import FILE, carry_out


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("small_encoders")
def test_quick_configuration_gives_every_series_from_a_folder_of_clips(crema_d: Path, tmp_path: Path):
    results = carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
    for series in EXPERIMENT.series:
        values = results.values_of(series.key)
        assert len(values) == 1, series.key
        assert all(0 <= value <= 100 for value in values.values())
    assert len(results.runs) == 5


def test_full_configuration_has_five_seeds_of_every_row():
    named = tasks(EXPERIMENT.full)
    assert len(named) == 5 * (3 + 2)
    assert "released, OGM-GE, sum, seed 4" in named


def test_without_the_data_the_run_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_CREMA_D", raising=False)
    task = next(iter(tasks(EXPERIMENT.quick).values()))
    with pytest.raises(ConfigError, match="BOGC_CREMA_D must name the folder"):
        task()


def test_held_out_clips_are_neither_trained_on_nor_tested(crema_d: Path):
    config = AudioVisualConfig(held_out=0.25)
    parts = held_out(crema_d, config, seed=0)
    assert parts.validation is not None
    names = [{clip.name for clip in part.clips} for part in (parts.train, parts.validation, parts.test)]
    assert [len(each) for each in names] == [9, 3, 6]
    assert len(set.union(*names)) == 18
    other = held_out(crema_d, config, seed=1)
    assert [clip.name for clip in other.train.clips] != [clip.name for clip in parts.train.clips]


def test_the_first_of_the_best_epochs_is_chosen():
    epochs = [Epoch(10.0, 90.0), Epoch(50.0, 40.0), Epoch(50.0, 60.0)]
    assert chosen(epochs) is epochs[1]
