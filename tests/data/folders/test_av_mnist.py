from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.data import load_dataset
from bogc.data.folders.av_mnist import read_av_mnist, training_samples
from bogc.errors import ConfigError, DataError
from tests.data.folders.digits import av_mnist
from tests.data.folders.digits import write_av_mnist as write

SIZES = {"train": 5, "test": 3}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return av_mnist(SIZES)


def test_one_reference_and_a_variable_give_the_arrays_divided_by_255(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BOGC_AV_MNIST", str(write(tmp_path, arrays)))
    dataset = load_dataset("bogc.data.folders.av_mnist:load_av_mnist")
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
        load_dataset("bogc.data.folders.av_mnist:load_av_mnist")


def test_the_training_part_is_counted(tmp_path: Path, arrays: dict[str, np.ndarray]):
    assert training_samples(write(tmp_path, arrays)) == 5
    with pytest.raises(DataError, match=r"train_labels\.npy must be an array of numbers"):
        training_samples(tmp_path / "absent")
