from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from bogc.data import MultimodalDataset
from bogc.data.folders.av_mnist import read_av_mnist
from bogc.data.folders.av_mnist_builder import build, spectrogram, spectrograms
from bogc.errors import DataError

from .made import write_wave


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Each recording has a frequency of its own: digits in 1000 Hz, indices in 50 Hz."""
    for digit in (0, 1, 2):
        for index in (0, 4, 5, 12):
            name = f"{digit}_some_body_{index}.wav"
            write_wave(tmp_path / "spoken" / name, 0.4, 8000, 500.0 + 1000 * digit + 50 * index)
    (tmp_path / "spoken" / "readme.txt").touch()
    return tmp_path / "spoken"


@pytest.fixture
def digits() -> MultimodalDataset:
    pixels = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (40, 1, 28, 28))).float() / 255
    halves = {"left": pixels[..., :14], "right": pixels[..., 14:]}
    return MultimodalDataset("made", halves, torch.arange(40) % 3, tuple("0123456789"))


def test_what_is_built_is_read_with_the_pictures_and_labels_of_mnist(tmp_path: Path, spoken, digits):
    build(digits, 25, spoken, tmp_path / "new" / "av", seed=0)
    read = read_av_mnist(tmp_path / "new" / "av")
    whole = torch.cat([digits.inputs["left"], digits.inputs["right"]], dim=-1)
    torch.testing.assert_close(read.inputs["image"], whole, rtol=0, atol=1e-7)
    assert read.targets.tolist() == digits.targets.tolist()
    assert np.load(tmp_path / "new" / "av" / "image" / "train_data.npy").dtype == np.float32
    assert len(np.load(tmp_path / "new" / "av" / "test_labels.npy")) == 15


def test_every_picture_hears_its_digit_and_parts_share_no_recording(tmp_path: Path, spoken, digits):
    build(digits, 25, spoken, tmp_path / "av", seed=0)
    read = read_av_mnist(tmp_path / "av")
    found = {"train": set(), "test": set()}
    for row in range(40):
        picture = (read.inputs["audio"][row, 0] * 255).round().to(torch.uint8).numpy()
        digit = int(read.targets[row])
        names = [p.name for p in spoken.glob(f"{digit}_*.wav") if (spectrogram(p) == picture).all()]
        assert len(names) == 1
        found["train" if row < 25 else "test"].add(int(names[0].removesuffix(".wav").split("_")[-1]))
    assert found == {"train": {5, 12}, "test": {0, 4}}


def test_a_seed_names_a_choice(tmp_path: Path, spoken, digits):
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        build(digits, 25, spoken, tmp_path / name, seed)
    first, again, other = (np.load(tmp_path / name / "audio" / "train_data.npy") for name in "abc")
    assert (first == again).all()
    assert not (first == other).all()


def test_the_spectrogram_is_112_by_112_with_the_tone_at_its_frequency(tmp_path: Path):
    picture = spectrogram(write_wave(tmp_path / "a.wav", 0.5, 8000, 1000.0))
    assert (picture.shape, picture.dtype) == ((112, 112), np.uint8)
    assert picture.max() == 255
    tone = round(1000 / (8000 / 222))
    assert set(picture[:, 5:50].argmax(0).tolist()) == {tone}
    assert (picture[:, 60:] == 0).all()  # silence, more than 80 dB below


def test_a_tenth_of_the_amplitude_is_20_of_80_decibels(tmp_path: Path):
    time = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 40 * 8000 / 222 * time) * np.where(time < 0.5, 0.5, 0.05)
    wavfile.write(tmp_path / "a.wav", 8000, tone.astype(np.float32))
    picture = spectrogram(tmp_path / "a.wav")
    assert abs(int(picture[40, 20]) - 255) <= 1
    assert abs(int(picture[40, 90]) - 255 * 3 / 4) <= 1


def test_longer_recordings_are_cut_and_shorter_ones_filled(tmp_path: Path):
    for name, seconds in [("short", 0.01), ("long", 2.0)]:
        assert spectrogram(write_wave(tmp_path / f"{name}.wav", seconds, 8000)).shape == (112, 112)


def test_recordings_are_told_apart_by_their_names(spoken: Path):
    found = spectrograms(spoken)
    shapes = {part: {d: values.shape for d, values in of.items()} for part, of in found.items()}
    assert shapes == {part: dict.fromkeys((0, 1, 2), (2, 112, 112)) for part in ("train", "test")}


def test_a_digit_without_recordings_leaves_nothing_behind(tmp_path: Path, spoken: Path, digits):
    for index in (0, 4):
        (spoken / f"1_some_body_{index}.wav").unlink()
    with pytest.raises(DataError, match="spoken must have recordings of 1 for the test part; found none"):
        build(digits, 25, spoken, tmp_path / "av", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["spoken"]


def test_an_existing_folder_is_kept(tmp_path: Path, spoken: Path, digits):
    (tmp_path / "av").mkdir()
    with pytest.raises(DataError, match="av must not exist yet"):
        build(digits, 25, spoken, tmp_path / "av", seed=0)
    with pytest.raises(DataError, match=r"absent must exist.*Name the folder of the recordings"):
        build(digits, 25, tmp_path / "absent", tmp_path / "new", seed=0)
