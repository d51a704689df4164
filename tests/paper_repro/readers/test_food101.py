import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bogc.errors import DataError, RangeError
from paper_repro.readers.clips import read_picture, unit, whole
from paper_repro.readers.food101 import Dishes, read_food101_titles, read_food101_tokens

from .made import write_picture

PARTS = {
    "train": [("sushi", "a.jpg", "best sushi rolls"), ("apple_pie", "b.jpg", "pie")],
    "test": [("apple_pie", "c.jpg", "grandma pie"), ("sushi", "d.jpg", "sushi")],
}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "sushi", "pie", "roll", "##s", "best"]


def write_vocabulary(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")


def write_tokens(folder: Path) -> Path:
    write_vocabulary(folder)
    for part, dishes in PARTS.items():
        entries = []
        for index, (label, name, text) in enumerate(dishes):
            picture = f"images/{label}/{name}"
            write_picture(folder / picture, 50 * index)
            words = text.split()
            entries.append({"id": name, "text_tokens": words, "img_path": picture, "label": label})
        (folder / f"{part}.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def write_titles(folder: Path) -> Path:
    write_vocabulary(folder)
    (folder / "texts").mkdir()
    for part, dishes in PARTS.items():
        lines = ["Image_path,text,label\n"]
        for index, (label, name, text) in enumerate(dishes):
            write_picture(folder / "images" / part / label / name, 50 * index)
            lines.append(f'{name},"{text}",{label}\n')
        (folder / "texts" / f"{part}_titles.csv").write_text("".join(lines), encoding="utf-8")
    return folder


BOTH = pytest.mark.parametrize(
    ("read", "write", "pieces", "scale"),
    [(read_food101_tokens, write_tokens, 50, unit), (read_food101_titles, write_titles, 40, whole)],
    ids=["CGGM", "BalanceBenchmark"],
)
Read = Callable[..., Dishes]


@BOTH
def test_both_layouts_give_pictures_and_pieces(
    tmp_path: Path, read: Read, write: Callable, pieces: int, scale: Callable
):
    folder = write(tmp_path / "food")
    train, test = (read(folder, part, side=16) for part in ("train", "test"))
    assert train.class_names == test.class_names == ("apple_pie", "sushi")
    assert (train.targets.tolist(), test.targets.tolist()) == ([1, 0], [0, 1])
    inputs, target = train[0]
    assert target == 1
    assert inputs["text"].tolist() == [2, 8, 4, 6, 7, 3] + [0] * (pieces - 6)
    expected = scale(read_picture(train.dishes[0].picture), 16)
    torch.testing.assert_close(inputs["visual"], expected, rtol=0, atol=0)
    assert [dish.text for dish in train.subset([1]).dishes] == ["pie"]


@BOTH
def test_missing_files_are_refused(tmp_path: Path, read: Read, write: Callable, pieces: int, scale: Callable):
    folder = write(tmp_path / "food")
    picture = read(folder, "test").dishes[1].picture
    picture.unlink()
    with pytest.raises(DataError, match=r"d\.jpg must exist.*Prepare the folder"):
        read(folder, "test")
    write_picture(picture).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"d\.jpg must be a readable picture"):
        read(folder, "test")[1]
    (folder / "vocab.txt").unlink()
    with pytest.raises(DataError, match=r"vocab\.txt must exist"):
        read(folder, "train")
    next(path for path in folder.rglob("train*") if path.is_file()).unlink()
    with pytest.raises(DataError, match=r"train(_titles)?\.(json|csv) must exist"):
        read(folder, "train")


@BOTH
def test_wrong_arguments_are_refused(
    tmp_path: Path, read: Read, write: Callable, pieces: int, scale: Callable
):
    folder = write(tmp_path / "food")
    with pytest.raises(DataError, match="part must be one of train, test; found 'dev'"):
        read(folder, "dev")
    with pytest.raises(RangeError, match="side must be at least 1; found 0"):
        read(folder, "train", side=0)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", r"train\.json must be a JSON file"),
        ("{}", r"train\.json must be a list; found dict"),
        ('[{"text_tokens": "pie", "img_path": "a", "label": "b"}]', "sample 1 must have text_tokens, a list"),
        ('[{"text_tokens": ["pie"], "img_path": "a"}]', "sample 1 must have text_tokens, a list"),
        ("[3]", "sample 1 must have text_tokens"),
        (
            '[{"text_tokens": [], "img_path": "a", "label": "soup"}]',
            r"same classes in both parts, two or more; found only in one: \['apple_pie', 'soup', 'sushi'\]",
        ),
        ("[]", "0 to train on"),
    ],
)
def test_another_list_of_tokens_is_refused(tmp_path: Path, text: str, match: str):
    folder = write_tokens(tmp_path / "food")
    (folder / "train.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_food101_tokens(folder, "test")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image,text,label\n", r"must have the columns Image_path, text, label; found no Image_path"),
        ("Image_path,text,label\na.jpg,pie\n", "line 2 must have a picture, a title and a label"),
        ("Image_path,text,label\n,pie,sushi\n", "line 2 must have a picture, a title and a label"),
    ],
)
def test_another_list_of_titles_is_refused(tmp_path: Path, text: str, match: str):
    folder = write_titles(tmp_path / "food")
    (folder / "texts" / "train_titles.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_food101_titles(folder, "train")


def test_titles_are_cleaned_as_released(tmp_path: Path):
    folder = write_titles(tmp_path / "food")
    title = "RT  #sushi RT see http://a.b/c and more"
    (folder / "texts" / "test_titles.csv").write_text(
        f"text,label,Image_path,index\n{title},sushi,d.jpg,0\npie,apple_pie,c.jpg,1\n", encoding="utf-8"
    )
    assert [dish.text for dish in read_food101_titles(folder, "test").dishes] == ["sushi RT see ", "pie"]
