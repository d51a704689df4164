import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.errors import DataError, RangeError
from paper_repro.readers.clips import all_frames
from paper_repro.readers.kinetics_sounds import read_kinetics_sounds

from .made import write_kinetics_sounds

PARTS = {"train": [(4, "--4-0_000058_000068"), (30, "b"), (0, "c")], "test": [(1, "-3M_2"), (4, "e")]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_kinetics_sounds(tmp_path / "ks", PARTS)


def test_lists_the_clips_with_the_classes_of_the_released_lists(folder: Path):
    train, test = (read_kinetics_sounds(folder, part) for part in ("train", "test"))
    assert [clip.name for clip in train.clips] == ["--4-0_000058_000068", "b", "c"]
    assert train.targets.tolist() == [4, 30, 0]
    assert test.targets.tolist() == [1, 4]
    assert train.class_names == test.class_names == tuple(map(str, range(31)))


def test_an_item_has_the_stored_sound_and_the_middle_of_each_third(folder: Path):
    clips = read_kinetics_sounds(folder, "train", side=16)
    inputs, target = clips[0]
    assert inputs["audio"].shape == (1, 1024, 128)
    assert inputs["audio"].unique().tolist() == pytest.approx([0.4])
    assert target == 4
    every, _ = read_kinetics_sounds(folder, "train", side=16, pick=all_frames)[0]
    torch.testing.assert_close(inputs["visual"], every["visual"][:, [0, 3, 6]], rtol=0, atol=0)


def test_training_draws_a_frame_of_each_third(folder: Path):
    clips = read_kinetics_sounds(folder, "train", side=8)
    first, again = (clips.training_item(1, np.random.default_rng(5))[0] for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert first["visual"].shape == (3, 3, 8, 8)


def test_lines_separated_by_spaces_are_read_too(folder: Path):
    (folder / "my_test.txt").write_text("-3M_2 10 1\n\ne 10 4\n", encoding="utf-8")
    assert read_kinetics_sounds(folder, "test").targets.tolist() == [1, 4]


def test_vanished_clips_are_left_out(folder: Path):
    (folder / "train_spec" / "c.npy").unlink()
    assert len(read_kinetics_sounds(folder, "train")) == 2
    for index in range(4, 11):
        (folder / "train_frames" / "b" / f"frame_{index:05d}.jpg").unlink()
    with pytest.raises(DataError, match="must have the files of two clips or more; found 1 of 3"):
        read_kinetics_sounds(folder, "train")
    shutil.rmtree(folder / "test_frames")
    with pytest.raises(DataError, match="must have the files of two clips or more; found 0 of 2"):
        read_kinetics_sounds(folder, "test")


@pytest.mark.parametrize("line", ["a,10,31", "a,10,-1", "a,10,x", "a", "a,10,1.5"])
def test_a_wrong_line_is_refused(folder: Path, line: str):
    (folder / "my_train.txt").write_text(f"b,10,30\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"my_train\.txt, line 2 must read NAME,10,CLASS with a class from 0"):
        read_kinetics_sounds(folder, "train")


def test_a_missing_list_and_wrong_arguments_are_refused(folder: Path):
    with pytest.raises(DataError, match="part must be one of train, test; found 'val'"):
        read_kinetics_sounds(folder, "val")
    with pytest.raises(RangeError, match="side must be at least 1; found 0"):
        read_kinetics_sounds(folder, "train", side=0)
    (folder / "my_test.txt").unlink()
    with pytest.raises(DataError, match=r"my_test\.txt must exist.*Prepare the folder"):
        read_kinetics_sounds(folder, "test")


def test_a_broken_sound_is_an_error_of_its_file(folder: Path):
    (folder / "test_spec" / "e.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match=r"e\.npy must be an array"):
        read_kinetics_sounds(folder, "test")[1]
