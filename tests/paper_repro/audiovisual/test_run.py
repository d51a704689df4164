from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bogc.errors import ConfigError, DataError
from paper_repro.__main__ import app
from paper_repro.audiovisual.fitting import Epoch
from paper_repro.audiovisual.run import AUDIO_VISUAL, chosen, held_out, released, tasks
from paper_repro.audiovisual.sources import SOURCES
from paper_repro.audiovisual.studies import STUDIES, Study
from paper_repro.results import FILE, carry_out, read_results

from .conftest import WRITERS


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("small_encoders", "made")
def test_quick_configuration_gives_every_series_from_a_folder_of_clips(study: Study, tmp_path: Path):
    experiment = AUDIO_VISUAL[study.name]
    results = carry_out(experiment, experiment.quick, tmp_path / FILE)
    for series in experiment.series:
        values = results.values_of(series.key)
        assert len(values) == 1, series.key
        assert all(0 <= value <= 100 for value in values.values())
    assert len(results.runs) == len(study.arms) + sum(arm.validated for arm in study.arms)


@pytest.fixture
def colour_and_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("BOGC_UCF101", str(WRITERS["BOGC_UCF101"](tmp_path / "made")))
    return next(study for study in STUDIES if study.config.pretrained)


def test_the_real_network_trains_on_colour_and_flow(colour_and_flow: Study):
    config = replace(colour_and_flow.quick, batch_size=12)
    name = "released, MMPareto, concat"
    assert 0 <= tasks(colour_and_flow, config)[f"{name}, seed 0"]()[name] <= 100


def test_missing_weights_stop_the_run(colour_and_flow: Study, tmp_path: Path):
    (tmp_path / "made" / colour_and_flow.config.pretrained).unlink()
    with pytest.raises(DataError, match=r"resnet18\.pth must be a file of torchvision's weights"):
        next(iter(tasks(colour_and_flow, colour_and_flow.quick).values()))()


@pytest.mark.usefixtures("small_encoders", "crema_d")
def test_one_command_writes_the_results(tmp_path: Path):
    study = STUDIES[0]
    app(
        ["run", study.name, "--quick", "--jobs", "1", "--folder", str(tmp_path / "results")],
        standalone_mode=False,
    )
    results = read_results(tmp_path / "results" / study.folder / FILE)
    assert results is not None
    keys = {key for run in results.runs.values() for key in run.values}
    assert keys == {series.key for series in AUDIO_VISUAL[study.name].series}


def test_full_configuration_has_five_seeds_of_every_arm(study: Study):
    named = tasks(study, study.config)
    arms = len(study.arms) + sum(arm.validated for arm in study.arms)
    assert len(named) == 5 * arms
    assert f"released, {study.arms[-1].method}, {study.arms[-1].fusion}, seed 4" in named


def test_without_the_data_the_run_says_what_to_set(study: Study, monkeypatch: pytest.MonkeyPatch):
    variable = SOURCES[study.source].variable
    monkeypatch.delenv(variable, raising=False)
    task = next(iter(tasks(study, study.quick).values()))
    with pytest.raises(ConfigError, match=f"{variable} must name the folder"):
        task()


@pytest.mark.usefixtures("small_encoders")
def test_a_broken_file_stops_the_run(study: Study, made: Path):
    sounds = [path for path in made.rglob("*") if path.suffix in (".wav", ".npy", ".pkl")]
    for path in sounds or made.rglob("*.jpg"):
        path.write_bytes(b"broken")
    task = next(iter(tasks(study, study.quick).values()))
    with pytest.raises(DataError, match=r"must (be an?|hold arrays) "):
        task()


def test_held_out_clips_are_neither_trained_on_nor_tested(crema_d: Path):
    study = STUDIES[0]
    config = replace(study.config, held_out=0.25)
    parts = held_out(study.data, config, seed=0)
    assert parts.validation is not None
    names = [{clip.name for clip in part.clips} for part in (parts.train, parts.validation, parts.test)]
    assert [len(each) for each in names] == [9, 3, 6]
    assert len(set.union(*names)) == 18
    other = held_out(study.data, config, seed=1)
    assert [clip.name for clip in other.train.clips] != [clip.name for clip in parts.train.clips]


def test_a_validation_part_is_used_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BOGC_AVE", str(WRITERS["BOGC_AVE"](tmp_path / "made")))
    study = next(study for study in STUDIES if study.source == "AVE")
    whole, parts = released(study.data, study.config), held_out(study.data, study.config, seed=0)
    assert whole.validation is None
    assert [clip.name for clip in parts.train.clips] == [clip.name for clip in whole.train.clips]
    assert [clip.name for clip in parts.validation.clips] == ["v_18", "v_19", "v_20"]


def test_the_first_of_the_best_epochs_is_chosen():
    epochs = [Epoch(10.0, 90.0), Epoch(50.0, 40.0), Epoch(50.0, 60.0)]
    assert chosen(epochs) is epochs[1]
