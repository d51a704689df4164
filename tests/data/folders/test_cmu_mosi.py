from pathlib import Path

import pytest

from bogc.data import load_dataset
from bogc.data.folders.cmu_mosi import read_cmu_mosi
from bogc.errors import ConfigError
from tests.data.folders.opinions import WIDTHS, opinions, write_pickle


def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_pickle(tmp_path / "mosi_data.pkl", opinions())
    monkeypatch.setenv("BOGC_CMU_MOSI", str(tmp_path))
    dataset = load_dataset("bogc.data.folders.cmu_mosi:load_cmu_mosi")
    shapes = {m: tuple(v.shape) for m, v in dataset.inputs.items()}
    assert shapes == {m: (10, width, 7) for m, width in WIDTHS.items()}
    # a score of exactly 0, the middle of five and of three, is not positive
    assert dataset.targets.tolist() == [0, 0, 0, 1, 1, 0, 1, 0, 0, 1]


def test_parts_are_the_published_ones(tmp_path: Path):
    parts = read_cmu_mosi(write_pickle(tmp_path / "mosi_data.pkl", opinions()))
    assert {part: len(found.scores) for part, found in parts.items()} == {"train": 5, "valid": 2, "test": 3}


def test_without_the_variable_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_CMU_MOSI", raising=False)
    with pytest.raises(ConfigError, match="BOGC_CMU_MOSI must name the folder"):
        load_dataset("bogc.data.folders.cmu_mosi:load_cmu_mosi")
