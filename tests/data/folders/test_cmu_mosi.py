import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bogc.data import load_dataset
from bogc.data.folders.cmu_mosi import read_cmu_mosi
from bogc.errors import ConfigError, DataError

WIDTHS = {"text": 6, "audio": 4, "vision": 5}
SIZES = {"train": 5, "valid": 2, "test": 3}


def content() -> dict[str, dict[str, Any]]:
    random = np.random.RandomState(0)
    parts: dict[str, dict[str, Any]] = {}
    for part, size in SIZES.items():
        parts[part] = {m: random.standard_normal((size, 7, width)) for m, width in WIDTHS.items()}
        parts[part]["labels"] = np.linspace(-3, 3, size).reshape(size, 1, 1)
        parts[part]["id"] = np.array([[f"v{i}", "0", "1"] for i in range(size)])
    return parts


def write(folder: Path, values: object) -> Path:
    (folder / "mosi_data.pkl").write_bytes(pickle.dumps(values))
    return folder / "mosi_data.pkl"


def test_features_come_before_time_and_scores_stay(tmp_path: Path):
    made = content()
    read = read_cmu_mosi(write(tmp_path, made))
    assert list(read) == ["train", "valid", "test"]
    for part, opinions in read.items():
        np.testing.assert_allclose(opinions.scores, made[part]["labels"].ravel(), rtol=1e-6)
        for modality, values in opinions.inputs.items():
            assert (values.dtype, values.is_contiguous()) == (torch.float32, True)
            expected = np.swapaxes(made[part][modality], 1, 2)
            np.testing.assert_array_equal(values.numpy(), expected.astype(np.float32))


def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, content())
    monkeypatch.setenv("BOGC_CMU_MOSI", str(tmp_path))
    dataset = load_dataset("bogc.data.folders.cmu_mosi:load_cmu_mosi")
    shapes = {m: tuple(v.shape) for m, v in dataset.inputs.items()}
    assert shapes == {m: (10, width, 7) for m, width in WIDTHS.items()}
    # a score of exactly 0, the middle of five and of three, is not positive
    assert dataset.targets.tolist() == [0, 0, 0, 1, 1, 0, 1, 0, 0, 1]


def test_minus_infinity_of_the_voice_becomes_zero_and_nothing_else_does(tmp_path: Path):
    made = content()
    made["valid"]["audio"][1, 2, 3] = -np.inf
    assert read_cmu_mosi(write(tmp_path, made))["valid"].inputs["audio"][1, 3, 2] == 0
    made["valid"]["audio"][0, 0, 0] = np.inf
    with pytest.raises(DataError, match="valid, audio must be finite"):
        read_cmu_mosi(write(tmp_path, made))
    made = content()
    made["test"]["text"][0, 0, 0] = -np.inf
    with pytest.raises(DataError, match="test, text must be finite"):
        read_cmu_mosi(write(tmp_path, made))


def removed(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        *parents, last = path
        for parent in parents:
            values = values[parent]
        del values[last]

    return change


def replaced(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda values: values["train"].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (removed("valid"), "must hold parts train, valid, test .*; found no such valid"),
        (removed("test", "vision"), "found no such test"),
        (replaced("text", [1, 2]), "found no such train"),
        (replaced("text", np.zeros((5, 7))), r"text must have shape \[5, time, features\]; found \[5, 7\]"),
        (replaced("vision", np.zeros((4, 7, 5))), r"vision must have shape \[5, time, features\]"),
        (replaced("labels", np.zeros((5, 1, 2))), r"labels must hold one score each; found \[5, 1, 2\]"),
        (replaced("audio", np.full((5, 7, 4), "a")), "audio must hold real numbers; found <U1"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], match: str):
    made = content()
    change(made)
    with pytest.raises(DataError, match=match):
        read_cmu_mosi(write(tmp_path, made))


def test_another_object_or_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match="found no such train, valid, test"):
        read_cmu_mosi(write(tmp_path, [1, 2]))
    with pytest.raises(DataError, match="must be a readable file"):
        read_cmu_mosi(tmp_path / "absent.pkl")
    monkeypatch.delenv("BOGC_CMU_MOSI", raising=False)
    with pytest.raises(ConfigError, match="BOGC_CMU_MOSI must name the folder"):
        load_dataset("bogc.data.folders.cmu_mosi:load_cmu_mosi")
