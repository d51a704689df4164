"""UPMC-Food101: pictures of 101 dishes with the text of the web pages that they come from.

Two released codes keep it in two layouts. CGGM (zrguo/CGGM, commit 21e428c)::

    train.json, test.json              lists of {"id", "text_tokens": [...], "img_path", "label"}
    IMG_PATH                           pictures, below the folder

BalanceBenchmark (GeWu-Lab/BalanceBenchmark, commit 4c1482f)::

    texts/PART_titles.csv              with a header; columns Image_path, text and label among others
    images/PART/LABEL/IMAGE_PATH       pictures; PART is train or test

Both need BERT's vocabulary, ``vocab.txt`` of bert-base-uncased, which they take from a library; here it lies
in the folder. What is not known: how the lists of either were made of the data set. Neither code has a
validation part: CGGM validates on the test part.

Their pictures are scaled to 224 x 224 pixels; CGGM leaves them between 0 and 1, though the vision transformer
that it feeds them to expects -1 to 1. What they do to pictures in training is left to whoever trains: CGGM
mirrors, changes colours and blurs them, BalanceBenchmark rotates by up to 30 degrees and mirrors. There is no
loader into memory: at 0.6 MB a picture, the pictures would not fit.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.clips import Frame, read_picture, unit, whole
from paper_repro.readers.files import existing, listed, read_rows, read_text
from paper_repro.readers.word_pieces import WordPieces, read_vocabulary

FOLDER: Final = "BOGC_FOOD101"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "test")
CGGM_PIECES: Final = 50
BALANCE_PIECES: Final = 40
COLUMNS: Final = ("Image_path", "text", "label")

Scale: TypeAlias = Callable[[Image.Image, int], Frame]
"""Picture and side to a frame."""
Row: TypeAlias = tuple[Path, str, str]
"""Picture below the folder, text and label."""

_REMEDY: Final = "Prepare the folder as the documentation of paper_repro.readers.food101 says."
_NOISE: Final = (r"^RT[\s]+", r"https?:\/\/.*[\r\n]*", "#")  # as BalanceBenchmark cleans titles


@dataclass(frozen=True)
class Dish:
    """One sample on disk.

    Attributes:
        picture: Its file.
        text: As it is given to the tokeniser.
        target: Index of its class.
    """

    picture: Path
    text: str
    target: int


@dataclass(frozen=True)
class Dishes:
    """Samples for torch's ``DataLoader``.

    Attributes:
        dishes: The samples.
        class_names: One name a class, in alphabetical order.
        tokenise: Cuts text into pieces.
        pieces: How many a text is cut off at, or filled up to.
        scale: Makes ``visual`` of a picture.
        side: Height and width of a picture, in pixels.
    """

    dishes: tuple[Dish, ...]
    class_names: tuple[str, ...]
    tokenise: WordPieces
    pieces: int
    scale: Scale
    side: int

    def __len__(self) -> int:
        return len(self.dishes)

    def __getitem__(self, index: int, /) -> tuple[dict[str, Tensor], int]:
        """Read one sample for evaluation.

        Returns:
            ``visual``, float32 [3, side, side], and ``text``, int64 [pieces], indices of the vocabulary; the
            class index.

        Raises:
            DataError: The picture is missing or broken.
            IndexError: There is no such sample.
        """
        dish = self.dishes[index]
        visual = self.scale(read_picture(dish.picture), self.side)
        return {"visual": visual, "text": self.tokenise(dish.text, self.pieces)}, dish.target

    @property
    def targets(self) -> Int64[Tensor, " n"]:
        """Class index of every sample."""
        return torch.tensor([dish.target for dish in self.dishes], dtype=torch.int64)

    def subset(self, indices: Iterable[int]) -> "Dishes":
        """Keep the samples at ``indices``, in their order."""
        return replace(self, dishes=tuple(self.dishes[index] for index in indices))


def read_food101_tokens(folder: Path, part: str, side: int = 224) -> Dishes:
    """List a part in the layout of CGGM's code; pictures between 0 and 1, 50 pieces of text.

    Raises:
        DataError: There is no such part, a file is missing, a list is another one, or the two parts have
            different classes.
        RangeError: ``side`` is not positive.
    """
    return _read(_token_rows, folder, part, side, CGGM_PIECES, unit)


def read_food101_titles(folder: Path, part: str, side: int = 224) -> Dishes:
    """List a part in the layout of BalanceBenchmark's code; standardised pictures, 40 pieces of text.

    From a title, "RT" at the start, everything from an address on to the end of the line, and "#" are taken.

    Raises:
        DataError: There is no such part, a file is missing, a list is another one, or the two parts have
            different classes.
        RangeError: ``side`` is not positive.
    """
    return _read(_title_rows, folder, part, side, BALANCE_PIECES, whole)


def _read(
    rows: Callable[[Path, str], list[Row]], folder: Path, part: str, side: int, pieces: int, scale: Scale
) -> Dishes:
    check_number("side", side, side >= 1, "must be at least 1", "Use 224.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    listed = {each: rows(folder, each) for each in PARTS}
    labels = {each: {label for _, _, label in listed[each]} for each in PARTS}
    other = sorted(labels["train"] ^ labels["test"])
    if other or len(labels["train"]) < 2:
        rule = "must have the same classes in both parts, two or more"
        found = f"only in one: {other[:5]}; {len(labels['train'])} to train on"
        raise DataError(str(folder), rule, found, _REMEDY)
    classes = tuple(sorted(labels["train"]))
    numbers = {label: number for number, label in enumerate(classes)}
    vocabulary = read_vocabulary(existing(folder / "vocab.txt", _REMEDY))
    dishes = (Dish(existing(folder / p, _REMEDY), text, numbers[label]) for p, text, label in listed[part])
    return Dishes(tuple(dishes), classes, vocabulary, pieces, scale, side)


def _token_rows(folder: Path, part: str) -> list[Row]:
    path = folder / f"{part}.json"
    text = read_text(path, _REMEDY)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), "must be a JSON file", error, _REMEDY) from error
    if not isinstance(content, list):
        raise DataError(str(path), "must be a list", type(content).__name__, _REMEDY)
    return [_token_row(f"{path}, sample {n}", entry) for n, entry in enumerate(content, start=1)]


def _title_rows(folder: Path, part: str) -> list[Row]:
    path = folder / "texts" / f"{part}_titles.csv"
    (_, header), *rows = read_rows(path, _REMEDY) or [(0, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        rule = f"must have the columns {', '.join(COLUMNS)}"
        raise DataError(str(path), rule, f"no {', '.join(missing)}", _REMEDY)
    images = Path("images") / part
    lines = ((number, dict(zip(header, row, strict=False))) for number, row in rows)
    return [_title_row(f"{path}, line {number}", images, line) for number, line in lines]


def _token_row(place: str, entry: Any) -> Row:
    fields = entry if isinstance(entry, dict) else {}
    tokens, picture, label = (fields.get(name) for name in ("text_tokens", "img_path", "label"))
    words = tokens if isinstance(tokens, list) and all(isinstance(t, str) for t in tokens) else None
    if words is None or not (isinstance(picture, str) and isinstance(label, str) and label):
        rule = "must have text_tokens, a list of words, and the texts img_path and label"
        raise DataError(place, rule, repr(entry)[:80], _REMEDY)
    return Path(listed(place, picture, _REMEDY)), " ".join(words), label


def _title_row(place: str, images: Path, line: dict[str, str]) -> Row:
    picture, text, label = (line.get(name) for name in COLUMNS)
    if not picture or text is None or not label:
        raise DataError(place, "must have a picture, a title and a label", repr(line)[:80], _REMEDY)
    for noise in _NOISE:
        text = re.sub(noise, "", text)
    return images / listed(place, f"{label}/{picture}", _REMEDY), text, label
