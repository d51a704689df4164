from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from bogc.data import MultimodalDataset, load_dataset
from bogc.errors import ConfigError, DataError
from paper_repro.readers.av_mnist import build, read_av_mnist, spectrogram, spectrograms, training_samples
from tests.paper_repro.readers.digits import av_mnist
from tests.paper_repro.readers.digits import write_av_mnist as write

from .made import write_wave

SIZES = {"train": 5, "test": 3}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return av_mnist(SIZES)


def test_one_reference_and_a_variable_give_the_arrays_divided_by_255(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BOGC_AV_MNIST", str(write(tmp_path, arrays)))
    dataset = load_dataset("paper_repro.readers.av_mnist:load_av_mnist")
    for kind, side in [("image", 28), ("audio", 112)]:
        expected = np.concatenate(
            [arrays[f"{kind}/{part}_data"].reshape(-1, 1, side, side) for part in SIZES]
        )
        assert dataset.inputs[kind].dtype == torch.float32
        np.testing.assert_allclose(dataset.inputs[kind].numpy(), expected / 255, rtol=1e-6)
    assert dataset.targets.tolist() == [*arrays["train_labels"], *arrays["test_labels"]]


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("image/train_data", np.zeros((4, 784)), r"image/train_data\.npy must have shape \[5, 28, 28\]"),
        ("audio/test_data", np.zeros((3, 112)), r"audio/test_data\.npy must have shape \[3, 112, 112\]"),
        ("train_labels", np.full(5, 10), r"train_labels\.npy must be a vector of 0 to 9"),
        ("train_labels", np.full(5, 0.5), r"train_labels\.npy must be a vector of 0 to 9"),
        ("test_labels", np.zeros((3, 1)), r"test_labels\.npy must be a vector of 0 to 9"),
        ("test_labels", np.array(["1"] * 3), r"test_labels\.npy must be an array of numbers"),
        ("test_labels", np.array([print] * 3, dtype=object), r"test_labels\.npy must be an array of numbers"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, arrays, name: str, values: np.ndarray, match: str):
    with pytest.raises(DataError, match=match):
        read_av_mnist(write(tmp_path, {**arrays, name: values}))


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, arrays, monkeypatch: pytest.MonkeyPatch):
    folder = write(tmp_path, arrays)
    path = folder / "image" / "test_data.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"image/test_data\.npy must be an array of numbers"):
        read_av_mnist(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"image/test_data\.npy must be an array of numbers.*No such file"):
        read_av_mnist(folder)
    monkeypatch.delenv("BOGC_AV_MNIST", raising=False)
    with pytest.raises(ConfigError, match="BOGC_AV_MNIST must name the folder"):
        load_dataset("paper_repro.readers.av_mnist:load_av_mnist")


def test_the_training_part_is_counted(tmp_path: Path, arrays: dict[str, np.ndarray]):
    assert training_samples(write(tmp_path, arrays)) == 5
    with pytest.raises(DataError, match=r"train_labels\.npy must be an array of numbers"):
        training_samples(tmp_path / "absent")


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
