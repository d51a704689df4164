from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from bogc.data import load_dataset, make_split
from bogc.errors import ConfigError, DataError, RangeError
from paper_repro.readers.clips import one_a_piece
from paper_repro.readers.crema_d import CLASSES, read_crema_d, read_voice
from paper_repro.readers.sounds import log_spectrogram

from .made import write_crema_d, write_picture, write_wave

PARTS = {
    "train": ["1001_IEO_NEU_XX", "1001_IEO_ANG_HI", "1002_TIE_SAD_LO", "1003_IOM_HAP_XX"],
    "test": ["1004_IWW_FEA_XX", "1004_MTI_DIS_XX"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_crema_d(tmp_path / "crema", PARTS)


def test_lists_the_parts_with_the_classes_of_the_released_code(folder: Path):
    train, test = (read_crema_d(folder, part) for part in ("train", "test"))
    assert [clip.name for clip in train.clips] == PARTS["train"]
    assert train.targets.tolist() == [0, 5, 2, 1]
    assert test.targets.tolist() == [3, 4]
    assert [clip.frames[0].name for clip in test.clips] == ["00000.jpg", "00000.jpg"]


def test_an_item_has_the_shapes_of_the_paper(folder: Path):
    inputs, target = read_crema_d(folder, "train", frames=2)[1]
    assert inputs["audio"].shape == (1, 257, 188)
    assert inputs["visual"].shape == (3, 2, 224, 224)
    assert (inputs["audio"].dtype, target) == (torch.float32, 5)


def test_the_voice_is_repeated_to_three_seconds_and_cut(tmp_path: Path):
    wave = np.random.RandomState(0).uniform(-0.5, 0.5, 2 * 22_050).astype(np.float32)
    wavfile.write(tmp_path / "a.wav", 22_050, wave)
    expected = log_spectrogram(np.concatenate([wave, wave[:22_050]]), 512, 353)
    torch.testing.assert_close(read_voice(tmp_path / "a.wav"), expected, rtol=0, atol=0)


def test_one_reference_and_a_variable_give_the_whole_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BOGC_CREMA_D", str(folder))
    dataset = load_dataset("paper_repro.readers.crema_d:load_crema_d")
    assert dataset.class_names == CLASSES
    assert dataset.targets.tolist() == [0, 5, 2, 1, 3, 4]
    assert {m: tuple(v.shape) for m, v in dataset.inputs.items()} == {
        "audio": (6, 1, 257, 188),
        "visual": (6, 3, 224, 224),
    }
    assert dataset.groups is not None
    assert dataset.groups.tolist() == [1001, 1001, 1002, 1003, 1004, 1004]
    split = make_split(dataset, folds=3)
    seen = set(dataset.groups[split.train].tolist())
    assert not seen & set(dataset.groups[split.test].tolist())


def test_without_the_variable_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_CREMA_D", raising=False)
    with pytest.raises(ConfigError, match="BOGC_CREMA_D must name the folder of the data"):
        load_dataset("paper_repro.readers.crema_d:load_crema_d")


@pytest.mark.parametrize(
    "missing", ["train.csv", "AudioWAV/1002_TIE_SAD_LO.wav", "Image-01-FPS/1003_IOM_HAP_XX"]
)
def test_a_missing_file_is_an_error_rather_than_a_smaller_data_set(folder: Path, missing: str):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=rf"{missing} must exist.*Prepare the folder"):
        read_crema_d(folder, "train")


def test_too_few_frames_are_refused(folder: Path):
    with pytest.raises(DataError, match="frames must be at least 3 a clip; found 2 of 1001_IEO_NEU_XX"):
        read_crema_d(folder, "train", frames=3)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("1001_IEO_NEU_XX", r"train\.csv, clip 1 must read NAME,EMOTION"),
        ("1001_IEO_NEU_XX,JOY", r"train\.csv, clip 1 must read NAME,EMOTION, one of NEU, .*JOY"),
        ("IEO_NEU_XX,NEU", "name must begin with the number of its actor; found 'IEO_NEU_XX'"),
    ],
)
def test_a_wrong_line_is_refused(folder: Path, line: str, match: str):
    (folder / "train.csv").write_text(f"{line}\n1001_IEO_ANG_HI,ANG\n", encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_crema_d(folder, "train")


def test_a_list_of_fewer_than_two_clips_is_refused(folder: Path):
    (folder / "train.csv").write_text("1001_IEO_ANG_HI,ANG\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.csv must list two clips or more; found 1"):
        read_crema_d(folder, "train")


def test_arguments_are_checked(folder: Path):
    with pytest.raises(DataError, match="part must be one of train, test; found 'valid'"):
        read_crema_d(folder, "valid")
    with pytest.raises(RangeError, match="side must be at least 1; found 0"):
        read_crema_d(folder, "train", side=0)


def test_other_files_beside_the_frames_do_no_harm(folder: Path):
    (folder / "Image-01-FPS" / "1004_IWW_FEA_XX" / ".DS_Store").touch()
    write_picture(folder / "Image-01-FPS" / "1004_IWW_FEA_XX" / "00090.jpg")
    write_wave(folder / "AudioWAV" / "not_listed.wav")
    assert len(read_crema_d(folder, "test")) == 2


def test_frames_may_be_picked_from_all(tmp_path: Path):
    folder = write_crema_d(tmp_path, PARTS, frames=5)
    clips = read_crema_d(folder, "train", frames=2, side=8, pick=partial(one_a_piece, 2))
    assert len(clips.clips[0].frames) == 5
    every = read_crema_d(folder, "train", frames=5, side=8)
    picked, all_five = clips[0][0]["visual"], every[0][0]["visual"]
    torch.testing.assert_close(picked, all_five[:, [0, 2]], rtol=0, atol=0)
