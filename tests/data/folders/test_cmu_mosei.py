from pathlib import Path

import pytest

from bogc.data import load_dataset
from bogc.data.folders.cmu_mosei import read_cmu_mosei
from bogc.errors import ConfigError
from tests.data.folders.opinions import WIDTHS, opinions, write_pickle


def test_utterances_without_text_are_dropped_from_every_modality(tmp_path: Path):
    made = opinions()
    made["train"]["text"][2] = 0
    parts = read_cmu_mosei(write_pickle(tmp_path / "mosei_senti_data.pkl", made))
    assert parts["train"].scores.tolist() == [-3.0, -1.5, 1.5, 3.0]
    assert {m: tuple(v.shape) for m, v in parts["train"].inputs.items()} == {
        m: (4, width, 7) for m, width in WIDTHS.items()
    }
    assert len(parts["test"].scores) == 3


def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_pickle(tmp_path / "mosei_senti_data.pkl", opinions())
    monkeypatch.setenv("BOGC_CMU_MOSEI", str(tmp_path))
    dataset = load_dataset("bogc.data.folders.cmu_mosei:load_cmu_mosei")
    assert dataset.targets.tolist() == [0, 0, 0, 1, 1, 0, 1, 0, 0, 1]


def test_without_the_variable_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_CMU_MOSEI", raising=False)
    with pytest.raises(ConfigError, match="BOGC_CMU_MOSEI must name the folder"):
        load_dataset("bogc.data.folders.cmu_mosei:load_cmu_mosei")
