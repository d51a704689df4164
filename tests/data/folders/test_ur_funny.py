from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bogc.data import load_dataset
from bogc.data.folders.ur_funny import read_ur_funny
from bogc.errors import ConfigError, DataError
from tests.data.folders.opinions import opinions, write_pickle


def jokes() -> dict[str, dict[str, Any]]:
    made = opinions()
    for part in made.values():
        part["labels"] = (np.arange(len(part["labels"])) % 2).reshape(-1, 1)
    return made


def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_pickle(tmp_path / "humor.pkl", jokes())
    monkeypatch.setenv("BOGC_UR_FUNNY", str(tmp_path))
    dataset = load_dataset("bogc.data.folders.ur_funny:load_ur_funny")
    assert dataset.targets.tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    assert dataset.class_names == ("no joke", "joke")


def test_a_missing_text_drops_the_utterance_and_another_label_is_refused(tmp_path: Path):
    made = jokes()
    made["test"]["text"][0] = 0
    assert read_ur_funny(write_pickle(tmp_path / "humor.pkl", made))["test"].scores.tolist() == [1, 0]
    made["valid"]["labels"][0] = 2
    with pytest.raises(DataError, match=r"valid, labels must be 1 for a joke, else 0 or -1; found \[2.0\]"):
        read_ur_funny(write_pickle(tmp_path / "humor.pkl", made))


def test_without_the_variable_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_UR_FUNNY", raising=False)
    with pytest.raises(ConfigError, match="BOGC_UR_FUNNY must name the folder"):
        load_dataset("bogc.data.folders.ur_funny:load_ur_funny")
