"""Emoji: the picture and the words of each, to be told apart by category.

Pictures (Noto Emoji) and categories come with the npm package emoji-datasource-google, English names and
tags (Unicode CLDR) with emojibase-data. Both archives are read without installing them.
"""

import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bogc.data.archives import Archive, fetch, npm_pack, read_tar
from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError

PICTURES: Final = Archive(
    package="emoji-datasource-google",
    version="16.0.0",
    filename="emoji-datasource-google-16.0.0.tgz",
    sha256="fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
)
WORDS: Final = Archive(
    package="emojibase-data",
    version="17.0.0",
    filename="emojibase-data-17.0.0.tgz",
    sha256="d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
)
CATEGORIES: Final = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)
SIDE: Final = 32  # pixels

_LIST: Final = "package/emoji.json"
_SHEET: Final = "package/img/google/sheets-clean/32.png"  # without stand-ins from other makers
_TAGS: Final = "package/en/data.json"

_Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Emoji:
    """One emoji.

    Attributes:
        name: English name, such as "woman running".
        tags: English keywords.
        category: One of ``CATEGORIES``.
        column: Of its tile in the sheet of pictures, from 0.
        row: Likewise.
    """

    name: str
    tags: tuple[str, ...]
    category: str
    column: int
    row: int


def load_emoji(cache_dir: Path | None = None) -> MultimodalDataset:
    """Load 1,906 emoji in 9 categories; skin tones other than the default are left out.

    Variants of one concept by person or direction ("man running", "woman running: facing right") share a
    group, see :func:`variant_key`: split by them. Other series, such as clock faces or hearts of several
    colours, are not grouped.

    Args:
        cache_dir: Where the archives (74 and 7 MB) are kept; None for the default cache.

    Returns:
        ``image``, float32 [1906, 3, 32, 32]: red, green, blue in [0, 1], laid over white. ``text``, float32
        [1906, 1024]: see :func:`hash_words`.

    Raises:
        FetchError: An archive cannot be fetched, or is not the pinned one.
    """
    return read_emoji(fetch(PICTURES, cache_dir, npm_pack), fetch(WORDS, cache_dir, npm_pack))


def read_emoji(pictures: Path, words: Path) -> MultimodalDataset:
    """Read the archives; DataError if they are not what :func:`load_emoji` describes, in any number."""
    files = read_tar(pictures, [_LIST, _SHEET])
    emoji = parse_emoji(files[_LIST], read_tar(words, [_TAGS])[_TAGS])
    keys = [variant_key(each.name) for each in emoji]
    groups = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return MultimodalDataset(
        name="emoji",
        inputs={
            "image": cut_tiles(decode_png(_SHEET, files[_SHEET]), emoji),
            "text": hash_words([content_words(each.name, each.tags) for each in emoji]),
        },
        targets=torch.tensor([CATEGORIES.index(each.category) for each in emoji], dtype=torch.int64),
        class_names=CATEGORIES,
        groups=torch.from_numpy(groups),
    )


def parse_emoji(pictures: bytes, words: bytes) -> list[Emoji]:
    """Join the list of pictures with the list of names and tags by code points, in the order of the former.

    Args:
        pictures: JSON list with ``unified``, ``category``, ``sheet_x`` and ``sheet_y``.
        words: JSON list with ``hexcode``, ``label`` and perhaps ``tags``.

    Returns:
        Those of a category in ``CATEGORIES``; the others (skin tones by themselves) are no emoji.

    Raises:
        DataError: A list is no such JSON, or a picture has no name.
    """
    try:
        named = {_code_points(entry["hexcode"]): entry for entry in json.loads(words)}
        found = []
        for entry in json.loads(pictures):
            if entry["category"] in CATEGORIES:
                label = named[_code_points(entry["unified"])]
                tags = tuple(label.get("tags", ()))
                place = entry["category"], int(entry["sheet_x"]), int(entry["sheet_y"])
                found.append(Emoji(label["label"], tags, *place))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        rule = "must be two JSON lists with a name for each picture"
        raise DataError("emoji", rule, repr(error), "Fetch the archives again.") from error
    return found


def decode_png(name: str, content: bytes) -> _Bytes:
    """Decode a PNG into [height, width, 4], red, green, blue, opacity; DataError if it is damaged."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            return np.array(picture.convert("RGBA"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(name, "must be a complete PNG", error, "Fetch the archive again.") from error


def cut_tiles(sheet: _Bytes, emoji: list[Emoji]) -> Float32[Tensor, "n 3 32 32"]:
    """Cut each emoji out of the sheet and lay it over white.

    Args:
        sheet: [height, width, 4]; tiles of 32 x 32 pixels, each with a border of one pixel on every side.
        emoji: n of them.

    Raises:
        DataError: A tile lies outside the sheet.
    """
    pitch = SIDE + 2
    rows, columns = sheet.shape[0] // pitch, sheet.shape[1] // pitch
    tiles = np.empty((len(emoji), SIDE, SIDE, 4), dtype=np.float32)
    for index, each in enumerate(emoji):
        if not (0 <= each.row < rows and 0 <= each.column < columns):
            rule = f"must lie in a sheet of {rows} rows and {columns} columns"
            found = f"row {each.row}, column {each.column}"
            raise DataError(each.name, rule, found, "Fetch the archive again.")
        top, left = each.row * pitch + 1, each.column * pitch + 1
        tiles[index] = sheet[top : top + SIDE, left : left + SIDE]
    colour, opacity = tiles[..., :3] / 255, tiles[..., 3:] / 255
    white = colour * opacity + (1 - opacity)
    return torch.from_numpy(white.transpose(0, 3, 1, 2).copy())


def _code_points(code: str) -> str:
    return code.replace("-FE0F", "")  # asks for a picture rather than a character, and is often left out


TEXT_WIDTH: Final = 1024

_CATEGORY_WORD: Final = re.compile(
    "smileys?|emotions?|people|person|body|bodies|animals?|nature|foods?|drinks?|travel|places?|activity"
    "|activities|objects?|symbols?|flags?"
)
_VARIANT: Final = re.compile(
    r"\b(?:man|men|woman|women|person|people|adult|boy|girl|child|and|mrs|mx|santa)\b(?:’s)?|: facing right"
)
_SAME: Final = {
    "prince": "with crown",
    "princess": "with crown",
    "mermaid": "merperson",
    "merman": "merperson",
    "older": "old",
}


def content_words(name: str, tags: Iterable[str]) -> list[str]:
    """Give the lower-case words of name and tags, repeated ones too.

    The words of the categories' names ("flag", "food"), also in the other number, are left out: they would
    give the class away.
    """
    words = re.findall(r"\w+", " ".join([name, *tags]).lower())
    return [word for word in words if not _CATEGORY_WORD.fullmatch(word)]


def hash_words(texts: Iterable[list[str]]) -> Float32[Tensor, "n 1024"]:
    """Count words, each in one of ``TEXT_WIDTH`` columns and with a sign, both from a fixed hash.

    Nothing is fitted, so that no vocabulary or frequency leaks out of a test part. Rows have length 1; a
    text without words is a row of zeros. The hash is that of scikit-learn's FeatureHasher.
    """
    from sklearn.feature_extraction import FeatureHasher  # slow to import
    from sklearn.preprocessing import normalize

    counts = FeatureHasher(TEXT_WIDTH, input_type="string", dtype=np.float32).transform(texts)
    return torch.from_numpy(normalize(counts).toarray())


def variant_key(name: str) -> str:
    """Give what the name says apart from who does it and in which direction; equal for the variants.

    Dropped are man, woman, person, their plurals, adult, boy, girl, child, Santa, Mrs. and Mx, "and", and
    ": facing right"; so a family is one whoever is in it, and plain man, woman or child has the empty key.
    Prince, princess and person with crown are one; so are mermaid, merman and merperson.
    """
    words = re.findall(r"[^\s:,.]+", _VARIANT.sub("", name.lower()))
    return " ".join(_SAME.get(word, word) for word in words)
