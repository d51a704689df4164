from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bogc.data import load_dataset
from bogc.errors import ConfigError, DataError
from paper_repro.readers.iemocap_dialogues import MODALITIES, read_iemocap_dialogues
from tests.paper_repro.readers.dialogues import WIDTHS, dialogues, write_dialogues


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_utterances_are_in_the_order_of_the_names_of_their_dialogues(tmp_path: Path, protocol: int):
    made = dialogues()
    parts = read_iemocap_dialogues(write_dialogues(tmp_path, made, protocol))
    for part, at in {"train": 7, "test": 8}.items():
        names = sorted(made[at])
        found = parts[part]
        assert found.lengths.tolist() == [len(made[2][name]) for name in names]
        assert found.emotions.tolist() == [label for name in names for label in made[2][name]]
        for modality, place in MODALITIES.items():
            expected = np.concatenate([made[place][name] for name in names]).astype(np.float32)
            np.testing.assert_array_equal(found.inputs[modality].numpy(), expected)
            assert expected.shape[1] == WIDTHS[modality]


def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_dialogues(tmp_path, dialogues(train=2, test=1))
    monkeypatch.setenv("BOGC_IEMOCAP_DIALOGUES", str(tmp_path))
    reference = "paper_repro.readers.iemocap_dialogues:load_iemocap_dialogues"
    dataset = load_dataset(reference)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == [0] * 6 + [1] * 7 + [2] * 8
    monkeypatch.delenv("BOGC_IEMOCAP_DIALOGUES")
    with pytest.raises(ConfigError, match="BOGC_IEMOCAP_DIALOGUES must name the folder"):
        load_dataset(reference)


FIRST = "Ses01F_impro00"


def at(place: int, value: Any) -> Callable[[list[Any]], None]:
    return lambda made: made[place].__setitem__(FIRST, value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda made: made.pop(), "must hold nine parts"),
        (lambda made: made.__setitem__(3, [1]), "must hold nine parts"),
        (lambda made: made.__setitem__(8, set()), "must hold nine parts"),
        (lambda made: made[4].pop(FIRST), "must have labels and features of every dialogue; found Ses01F"),
        (at(2, [0, 1, 2, 3, 4, 6]), "train, labels must be 0 to 5"),
        (at(2, [0.5] * 6), "train, labels must be 0 to 5"),
        (at(2, []), "must be finite numbers in 1 axes, not empty"),
        (at(3, [np.zeros(4)] * 5), r"text of Ses01F_impro00 must have shape \[6, 4\]; found \[5, 4\]"),
        (at(5, [np.zeros(5)] * 5 + [np.zeros(4)]), "vision of Ses01F_impro00 must be numbers of one shape"),
        (at(4, [np.full(3, np.nan)] * 6), "audio of Ses01F_impro00 must be finite"),
        (at(4, ["a"] * 6), "audio of Ses01F_impro00 must be numbers of one shape"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, change: Callable[[list[Any]], Any], match: str):
    made = dialogues()
    change(made)
    with pytest.raises(DataError, match=match):
        read_iemocap_dialogues(write_dialogues(tmp_path, made))


class Attack:
    def __reduce__(self):
        return print, ("code ran",)


def test_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(DataError, match="must hold arrays and plain values only"):
        read_iemocap_dialogues(write_dialogues(tmp_path, [*dialogues()[:8], Attack()]))
    assert capsys.readouterr().out == ""
