from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from bogc.errors import DataError, RangeError
from paper_repro.readers.clips import one_a_third
from paper_repro.readers.sounds import log_spectrogram
from paper_repro.readers.vggsound import read_sound, read_vggsound

from .made import write_picture, write_wave

CLIPS = [
    ("--aa", "10", "playing, loudly", "train"),
    ("b_b", "20", "barking", "train"),
    ("c", "0", "playing, loudly", "train"),
    ("d", "5", "barking", "test"),
    ("e", "6", "playing, loudly", "test"),
]


def add(folder: Path, clip: tuple[str, str, str, str], frames: int = 4) -> None:
    name, part = f"{clip[0]}_{clip[1]}", clip[3]
    write_wave(folder / f"{part}-audios" / f"{part}-set" / f"{name}.wav", 0.2)
    images = folder / f"{part}-videos" / f"{part}-set-img" / "Image-01-FPS" / f"{name}.mp4"
    for index in range(frames):
        write_picture(images / f"{25 * index:05d}.jpg", level=30 * index)


def write_list(folder: Path, clips: list[tuple[str, ...]]) -> None:
    lines = [",".join(f'"{field}"' if "," in field else field for field in clip) + "\n" for clip in clips]
    (folder / "vggsound.csv").write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_list(tmp_path, CLIPS)
    for clip in CLIPS:
        add(tmp_path, clip)
    return tmp_path


def test_classes_are_numbered_as_they_occur_in_training(folder: Path):
    train, test = (read_vggsound(folder, part) for part in ("train", "test"))
    assert train.class_names == test.class_names == ("playing, loudly", "barking")
    assert [(clip.name, clip.target) for clip in train.clips] == [("--aa_10", 0), ("b_b_20", 1), ("c_0", 0)]
    assert test.targets.tolist() == [1, 0]


def test_an_item_has_five_seconds_and_the_first_frames(folder: Path):
    clips = read_vggsound(folder, "test", frames=3, side=16)
    inputs, target = clips[0]
    assert inputs["audio"].shape == (1, 129, 626)
    assert inputs["visual"].shape == (3, 3, 16, 16)
    assert [path.name for path in clips.clips[0].frames] == ["00000.jpg", "00025.jpg", "00050.jpg"]
    assert target == 1


def test_vanished_clips_are_left_out(folder: Path):
    write_list(folder, [*CLIPS, ("gone", "1", "barking", "train"), ("short", "2", "barking", "train")])
    add(folder, ("short", "2", "barking", "train"), frames=3)
    assert len(read_vggsound(folder, "train")) == 3


def test_a_sound_is_repeated_and_five_seconds_of_it_are_used(tmp_path: Path):
    wave = np.random.RandomState(0).uniform(-0.5, 0.5, 3 * 16_000).astype(np.float32)
    wavfile.write(tmp_path / "a.wav", 16_000, wave)
    ten = np.tile(wave, 4)[: 10 * 16_000]
    middle = log_spectrogram(ten[40_000:120_000], 256, 128)
    torch.testing.assert_close(read_sound(tmp_path / "a.wav"), middle, rtol=0, atol=0)
    start = int(np.random.default_rng(7).integers(0, 80_001))
    drawn = read_sound(tmp_path / "a.wav", np.random.default_rng(7))
    torch.testing.assert_close(drawn, log_spectrogram(ten[start : start + 80_000], 256, 128), rtol=0, atol=0)


def test_classes_of_one_part_only_are_refused(folder: Path):
    extra = ("f", "1", "humming", "test")
    write_list(folder, [*CLIPS, extra])
    add(folder, extra)
    with pytest.raises(DataError, match=r"same classes in both parts.*only in one: \['humming'\]"):
        read_vggsound(folder, "train")


def test_an_empty_folder_another_line_and_wrong_arguments_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(DataError, match="part must be one of train, test; found 'valid'"):
        read_vggsound(folder, "valid")
    with pytest.raises(RangeError, match="frames must be from 1 to 4; found 5"):
        read_vggsound(folder, "train", frames=5)
    write_list(folder, [("a", "1", "barking")])
    with pytest.raises(DataError, match="line 1 must read ID,START,CLASS,PART"):
        read_vggsound(folder, "train")
    write_list(folder, [("gone", "1", "barking", "train")])
    with pytest.raises(DataError, match=r"only in one: \['barking'\]|0 to train on"):
        read_vggsound(folder, "train")
    (folder / "vggsound.csv").unlink()
    with pytest.raises(DataError, match=r"vggsound\.csv must exist"):
        read_vggsound(folder, "train")


def test_frames_may_be_picked_from_all(folder: Path):
    for clip in CLIPS:
        add(folder, clip, frames=9)
    clips = read_vggsound(folder, "train", side=8, pick=one_a_third)
    assert len(clips.clips[0].frames) == 9
    picked = clips[0][0]["visual"]
    first = read_vggsound(folder, "train", frames=4, side=8)[0][0]["visual"]
    torch.testing.assert_close(picked[:, :2], first[:, [0, 3]], rtol=0, atol=0)
