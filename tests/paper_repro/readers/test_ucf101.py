from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.data import Items, MultimodalDataset
from bogc.errors import DataError, RangeError
from paper_repro.readers.clips import read_picture, whole
from paper_repro.readers.ucf101 import read_ucf101

from .made import write_ucf101

PARTS = {
    "train": [
        ("Basketball", "v_Basketball_g08_c01"),
        ("Archery", "v_Archery_g09_c02"),
        ("YoYo", "v_YoYo"),
    ],
    "test": [("YoYo", "v_YoYo_g02_c01"), ("Archery", "v_Archery_g01_c01")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ucf101(tmp_path / "ucf", PARTS)


def test_actions_are_numbered_in_alphabetical_order(folder: Path):
    train, test = (read_ucf101(folder, part) for part in ("train", "test"))
    assert train.class_names == test.class_names == ("Archery", "Basketball", "YoYo")
    assert [video.target for video in train.videos] == [1, 0, 2]
    assert [video.target for video in test.videos] == [2, 0]


def test_an_item_is_the_middle_of_each_third(folder: Path):
    videos = read_ucf101(folder, "train", side=16)
    inputs, target = videos[0]
    assert target == 1
    for t, number in enumerate([1, 3, 5]):
        picture = read_picture(folder / "rgb" / "v_Basketball_g08_c01" / f"frame_{number:05d}.jpg")
        torch.testing.assert_close(inputs["visual"][:, t], whole(picture, 16), rtol=0, atol=0)
    levels = inputs["flow"].mean((2, 3)) * 255  # flow pictures of one level, u and v
    expected = torch.tensor([[1, 4, 7], [101, 104, 107]], dtype=torch.float32)
    torch.testing.assert_close(levels, expected, rtol=0, atol=0.5)


def test_training_draws_from_each_third_and_mirrors_by_the_generator_alone(folder: Path):
    videos = read_ucf101(folder, "train", side=8)
    first, again = (videos.training_item(1, np.random.default_rng(3))[0] for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    drawn = [videos.training_item(1, np.random.default_rng(seed))[0] for seed in range(40)]
    levels = {round(float(inputs["flow"][0, 0].mean()) * 255) for inputs in drawn}
    assert levels == {1, 2, 3}  # the first third of nine; that one is not drawn happens once in 4 million
    plain = videos[1][0]["visual"][:, 0]
    reds = [inputs["visual"][0, 0] for inputs in drawn]
    mirrored = [bool(red[0, 0] > red[0, -1]) for red in reds]  # pictures are a ramp in red
    assert bool(plain[0, 0, 0] < plain[0, 0, -1])
    assert len(set(mirrored)) == 2  # once in 5e11 all are alike


def test_videos_make_a_data_set_in_memory_and_a_subset(folder: Path):
    videos = read_ucf101(folder, "train", side=8)
    assert isinstance(videos, Items)
    dataset = MultimodalDataset.from_items(videos, "ucf101", videos.class_names)
    assert {m: tuple(v.shape) for m, v in dataset.inputs.items()} == {
        "visual": (3, 3, 3, 8, 8),
        "flow": (3, 2, 3, 8, 8),
    }
    assert [video.name for video in videos.subset([2, 0]).videos] == ["v_YoYo", "v_Basketball_g08_c01"]


@pytest.mark.parametrize(
    "missing", ["classInd.txt", "testlist01.txt", "rgb/v_YoYo_g02_c01", "flow/v/v_Archery_g01_c01"]
)
def test_a_missing_file_is_an_error_rather_than_a_smaller_data_set(folder: Path, missing: str):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=rf"{missing} must exist.*Prepare the folder"):
        read_ucf101(folder, "test")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("YoYo/v_YoYo_g02_c01.avi\nJump/v_Jump.avi\n", "video 2 must read ACTION/NAME.avi .*'Jump/v_Jump"),
        ("v_YoYo_g02_c01.avi\nYoYo/v.avi\n", "video 1 must read ACTION/NAME.avi"),
        ("YoYo/v_YoYo_g02_c01.avi\n", r"testlist01\.txt must list two videos or more; found 1"),
    ],
)
def test_a_wrong_list_is_refused(folder: Path, text: str, match: str):
    (folder / "testlist01.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_ucf101(folder, "test")


def test_too_few_or_unequal_frames_are_refused(folder: Path):
    (folder / "flow" / "u" / "v_Archery_g01_c01" / "frame000009.jpg").unlink()
    with pytest.raises(DataError, match="horizontal and vertical flow of the same frames; found 8 and 9"):
        read_ucf101(folder, "test")
    (folder / "rgb" / "v_YoYo_g02_c01" / "frame_00006.jpg").unlink()
    with pytest.raises(DataError, match="v_YoYo_g02_c01 must hold 6 frames or more; found 5"):
        read_ucf101(folder, "test")


def test_wrong_classes_and_arguments_are_refused(folder: Path):
    with pytest.raises(DataError, match="part must be one of train, test; found 'val'"):
        read_ucf101(folder, "val")
    with pytest.raises(RangeError, match="side must be at least 1; found 0"):
        read_ucf101(folder, "train", side=0)
    (folder / "classInd.txt").write_text("Archery\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"classInd\.txt must have two lines or more NUMBER ACTION"):
        read_ucf101(folder, "train")


def test_a_broken_picture_is_an_error_of_its_file(folder: Path):
    (folder / "flow" / "v" / "v_YoYo_g02_c01" / "frame000001.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"frame000001\.jpg must be a readable picture"):
        read_ucf101(folder, "test")[0]
