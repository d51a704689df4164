from pathlib import Path

import pytest

from bogc.errors import DataError, RangeError
from paper_repro.readers.ave import read_ave

from .made import write_ave

PARTS = {
    "train": [("Bark", "RUh_1"), ("Church bell", "b-2"), ("Male speech, man speaking", "c")],
    "val": [("Bark", "d"), ("Church bell", "e")],
    "test": [("Church bell", "f"), ("Bark", "g"), ("Male speech, man speaking", "h")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ave(tmp_path / "ave", PARTS)


def test_events_are_numbered_as_they_occur_in_the_test_list(folder: Path):
    parts = {part: read_ave(folder, part) for part in PARTS}
    names = ("Church bell", "Bark", "Male speech, man speaking")
    assert {part.class_names for part in parts.values()} == {names}
    assert {name: part.targets.tolist() for name, part in parts.items()} == {
        "train": [1, 0, 2],
        "val": [1, 0],
        "test": [0, 1, 2],
    }


def test_an_item_has_the_stored_sound_and_the_first_frames(folder: Path):
    videos = read_ave(folder, "train", frames=4, side=16)
    inputs, target = videos[1]
    assert inputs["audio"].shape == (1, 257, 1004)
    assert inputs["visual"].shape == (3, 4, 16, 16)
    assert [path.name for path in videos.clips[1].frames] == [f"{25 * index:05d}.jpg" for index in range(4)]
    assert target == 0


def test_a_video_with_several_events_counts_once_with_the_first(folder: Path):
    path = folder / "trainSet.txt"
    path.write_text(path.read_text(encoding="utf-8") + "Bark&b-2&good&3&5\n\n", encoding="utf-8")
    train = read_ave(folder, "train")
    assert [clip.name for clip in train.clips] == ["RUh_1", "b-2", "c"]
    assert train.targets.tolist() == [1, 0, 2]


@pytest.mark.parametrize("missing", ["valSet.txt", "Audio-1004-SE/d.pkl", "Image-01-FPS-SE/e"])
def test_a_missing_file_is_an_error_rather_than_a_smaller_data_set(folder: Path, missing: str):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=rf"{missing} must exist.*Prepare the folder"):
        read_ave(folder, "val")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Bark\nBark&d\n", r"valSet\.txt, line 1 must read EVENT&NAME&good&START&END"),
        ("Bark&d\n&e\n", r"valSet\.txt, line 2 must read EVENT&NAME&good&START&END"),
        (
            "Bark&d\nTrain horn&e\n",
            r"event of e must be one of the 3 of testSet\.txt; found 'Train horn'",
        ),
        ("Bark&d\n", r"valSet\.txt must list two videos or more; found 1"),
    ],
)
def test_a_wrong_list_is_refused(folder: Path, text: str, match: str):
    (folder / "valSet.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_ave(folder, "val")


def test_too_few_frames_and_wrong_arguments_are_refused(folder: Path):
    with pytest.raises(DataError, match="frames must be at least 11 a video; found 10 of f"):
        read_ave(folder, "test", frames=11)
    with pytest.raises(DataError, match="part must be one of train, val, test; found 'valid'"):
        read_ave(folder, "valid")
    with pytest.raises(RangeError, match="frames must be at least 1; found 0"):
        read_ave(folder, "test", frames=0)


def test_a_pickle_of_code_is_refused(folder: Path):
    (folder / "Audio-1004-SE" / "d.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match=r"d\.pkl must hold arrays and plain values only"):
        read_ave(folder, "val")[0]
