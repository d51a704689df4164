from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bogc.data import load_dataset
from bogc.errors import ConfigError, DataError, RangeError
from paper_repro.readers.iemocap import read_iemocap
from tests.paper_repro.readers.features import iemocap, write_iemocap


def test_parts_hold_their_utterances_standardised_and_filled_with_zeros(tmp_path: Path):
    made = iemocap()
    parts = read_iemocap(write_iemocap(tmp_path, made))
    assert {part: len(each.emotions) for part, each in parts.items()} == {"train": 8, "valid": 4, "test": 4}
    assert parts["train"].emotions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    statistics = made["A/comparE_mean_std"]
    for part, short in {"train": "trn", "valid": "val", "test": "tst"}.items():
        for row, names in enumerate(made[f"target/1/{short}"]["int2name"]):
            name = names[0].decode()
            sound = (made["A/comparE"][name] - statistics["1/mean"]) / statistics["1/std"]
            expected = {
                "text": made["L/bert_large"][name],
                "audio": sound,
                "vision": made["V/denseface"][name],
            }
            for modality, values in expected.items():
                found = parts[part].inputs[modality][row].numpy()
                np.testing.assert_allclose(found[:, : len(values)], values.T, rtol=1e-5, atol=1e-6)
                assert (found[:, len(values) :] == 0).all()
    assert {m: v.shape[1:] for m, v in parts["test"].inputs.items()} == {
        "text": (6, 5),
        "audio": (5, 350),
        "vision": (4, 4),
    }
    assert all(v.dtype == torch.float32 for v in parts["test"].inputs.values())


def test_one_reference_and_a_variable_give_the_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BOGC_IEMOCAP", str(write_iemocap(tmp_path, iemocap())))
    dataset = load_dataset("paper_repro.readers.iemocap:load_iemocap")
    assert dataset.targets.tolist() == [0, 1, 2, 3] * 4
    assert dataset.class_names == ("anger", "happiness", "neutral", "sadness")
    monkeypatch.delenv("BOGC_IEMOCAP")
    with pytest.raises(ConfigError, match="BOGC_IEMOCAP must name the folder"):
        load_dataset("paper_repro.readers.iemocap:load_iemocap")


def changed(file: str, name: str, values: object) -> Callable[[dict[str, dict[str, Any]]], None]:
    return lambda made: made[file].__setitem__(name, values)


FIRST = "Ses01F_impro01_F000"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed("target/1/trn", "label", np.zeros((8, 3))), r"label\.npy must have shape \[n, 4\]"),
        (changed("target/1/trn", "label", np.zeros((8, 4))), r"label\.npy must be one-hot"),
        (changed("target/1/val", "int2name", np.arange(4)), r"int2name\.npy must hold 4 names"),
        (
            changed("target/1/val", "int2name", np.array([print] * 4)),
            r"int2name\.npy must be an array in npy format without objects",
        ),
        (
            changed("target/1/val", "int2name", np.array([[b"\xfc"]] * 4)),
            r"int2name\.npy must hold names in ASCII",
        ),
        (
            changed("target/1/val", "int2name", np.frombuffer(b"AAAA" * 4, "<U1").reshape(4, 1)),
            r"int2name\.npy must hold names in ASCII",
        ),
        (changed("target/1/tst", "int2name", np.array([[b"none"]] * 4)), "must hold all arrays asked for"),
        (changed("V/denseface", FIRST, np.zeros((4, 3))), r"must hold arrays \[time, features\]"),
        (changed("V/denseface", FIRST, np.zeros((0, 4))), r"must hold arrays \[time, features\]"),
        (changed("A/comparE", FIRST, np.zeros((351, 5))), "must have at most 350 frames; found 351"),
        (changed("A/comparE", FIRST, np.full((7, 5), np.nan)), "comparE must be finite"),
        (changed("A/comparE_mean_std", "1/std", np.zeros(5)), "must hold 5 means and 5 positive deviations"),
        (changed("A/comparE_mean_std", "1/mean", np.zeros(4)), "must hold 5 means and 5 positive deviations"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], match: str):
    made = iemocap()
    change(made)
    with pytest.raises(DataError, match=match):
        read_iemocap(write_iemocap(tmp_path, made))


def test_a_missing_file_and_a_fold_that_is_not_there_are_refused(tmp_path: Path):
    folder = write_iemocap(tmp_path, iemocap())
    with pytest.raises(RangeError, match="fold must be from 1 to 10; found 11"):
        read_iemocap(folder, fold=11)
    with pytest.raises(DataError, match=r"target/2/trn_label\.npy must be an array"):
        read_iemocap(folder, fold=2)
    (folder / "L" / "bert_large.npz").unlink()
    with pytest.raises(DataError, match=r"bert_large must be a file \.h5 or \.npz; found neither"):
        read_iemocap(folder)
