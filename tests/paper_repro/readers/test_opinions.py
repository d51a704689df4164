from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bogc.data import load_dataset
from bogc.errors import ConfigError, DataError
from paper_repro.readers.opinions import read_cmu_mosei, read_opinions, read_ur_funny, two_classes
from tests.paper_repro.readers.opinions import WIDTHS, opinions, write_pickle


class Attack:
    def __reduce__(self):
        return print, ("code ran",)


def write(folder: Path, values: object) -> Path:
    return write_pickle(folder / "data.pkl", values)


def test_features_come_before_time_and_scores_stay(tmp_path: Path):
    made = opinions()
    read = read_opinions(write(tmp_path, made))
    assert list(read) == ["train", "valid", "test"]
    for part, found in read.items():
        np.testing.assert_allclose(found.scores, made[part]["labels"].ravel(), rtol=1e-6)
        for modality, values in found.inputs.items():
            assert (values.dtype, values.is_contiguous()) == (torch.float32, True)
            expected = np.swapaxes(made[part][modality], 1, 2)
            np.testing.assert_array_equal(values.numpy(), expected.astype(np.float32))


def test_minus_infinity_of_the_voice_becomes_zero_and_nothing_else_does(tmp_path: Path):
    made = opinions()
    made["valid"]["audio"][1, 2, 3] = -np.inf
    assert read_opinions(write(tmp_path, made))["valid"].inputs["audio"][1, 3, 2] == 0
    made["valid"]["audio"][0, 0, 0] = np.inf
    with pytest.raises(DataError, match="valid, audio must be finite"):
        read_opinions(write(tmp_path, made))
    made = opinions()
    made["test"]["text"][0, 0, 0] = -np.inf
    with pytest.raises(DataError, match="test, text must be finite"):
        read_opinions(write(tmp_path, made))


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
    made = opinions()
    change(made)
    with pytest.raises(DataError, match=match):
        read_opinions(write(tmp_path, made))


def test_another_object_no_file_or_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(DataError, match="found no such train, valid, test"):
        read_opinions(write(tmp_path, [1, 2]))
    with pytest.raises(DataError, match="must be a readable file"):
        read_opinions(tmp_path / "absent.pkl")
    with pytest.raises(DataError, match="must hold arrays and plain values only; found the name"):
        read_opinions(write(tmp_path, opinions() | {"more": Attack()}))
    assert capsys.readouterr().out == ""
    whole = write(tmp_path, opinions())
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DataError, match="must be a complete pickle"):
        read_opinions(whole)


def test_parts_of_another_width_cannot_be_put_together(tmp_path: Path):
    made = opinions()
    made["valid"]["text"] = made["valid"]["text"][..., :3]
    parts = read_opinions(write(tmp_path, made))
    with pytest.raises(DataError, match="must have one number of features and times"):
        two_classes("made", parts, 0.0, ("a", "b"))


def test_a_score_above_the_threshold_is_of_the_second_class(tmp_path: Path):
    dataset = two_classes("made", read_opinions(write(tmp_path, opinions())), 0.5, ("a", "b"))
    assert dataset.targets.tolist() == [0, 0, 0, 1, 1, 0, 1, 0, 0, 1]
    assert (dataset.groups, dataset.class_names) == (None, ("a", "b"))


def jokes() -> dict[str, dict[str, Any]]:
    made = opinions()
    for part in made.values():
        part["labels"] = (np.arange(len(part["labels"])) % 2).reshape(-1, 1)
    return made


SENTIMENTS = [0, 0, 0, 1, 1, 0, 1, 0, 0, 1]
"""A score of exactly 0, the middle of five and of three, is not positive."""
LOADERS = pytest.mark.parametrize(
    ("name", "file", "make", "targets"),
    [
        ("cmu_mosi", "mosi_data.pkl", opinions, SENTIMENTS),
        ("cmu_mosei", "mosei_senti_data.pkl", opinions, SENTIMENTS),
        ("ur_funny", "humor.pkl", jokes, [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]),
    ],
)


@LOADERS
def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, make: Callable, targets: list[int]
):
    write_pickle(tmp_path / file, make())
    monkeypatch.setenv(f"BOGC_{name.upper()}", str(tmp_path))
    dataset = load_dataset(f"paper_repro.readers.opinions:load_{name}")
    shapes = {m: tuple(v.shape) for m, v in dataset.inputs.items()}
    assert shapes == {m: (10, width, 7) for m, width in WIDTHS.items()}
    assert dataset.targets.tolist() == targets
    classes = ("no joke", "joke") if name == "ur_funny" else ("not positive", "positive")
    assert (dataset.name, dataset.class_names) == (name.replace("_", "-"), classes)


@pytest.mark.parametrize("name", ["cmu_mosi", "cmu_mosei", "ur_funny"])
def test_without_the_variable_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.delenv(f"BOGC_{name.upper()}", raising=False)
    with pytest.raises(ConfigError, match=f"BOGC_{name.upper()} must name the folder"):
        load_dataset(f"paper_repro.readers.opinions:load_{name}")


def test_utterances_without_text_are_dropped_from_every_modality(tmp_path: Path):
    made = opinions()
    made["train"]["text"][2] = 0
    parts = read_cmu_mosei(write_pickle(tmp_path / "mosei_senti_data.pkl", made))
    assert parts["train"].scores.tolist() == [-3.0, -1.5, 1.5, 3.0]
    assert {m: tuple(v.shape) for m, v in parts["train"].inputs.items()} == {
        m: (4, width, 7) for m, width in WIDTHS.items()
    }
    assert len(parts["test"].scores) == 3


def test_a_missing_text_drops_a_joke_and_another_label_is_refused(tmp_path: Path):
    made = jokes()
    made["test"]["text"][0] = 0
    assert read_ur_funny(write_pickle(tmp_path / "humor.pkl", made))["test"].scores.tolist() == [1, 0]
    made["valid"]["labels"][0] = 2
    with pytest.raises(DataError, match=r"valid, labels must be 1 for a joke, else 0 or -1; found \[2.0\]"):
        read_ur_funny(write_pickle(tmp_path / "humor.pkl", made))
