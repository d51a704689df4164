import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bogc.data import MultimodalDataset, load_emoji, make_split
from bogc.data.emoji import (
    CATEGORIES,
    PICTURES,
    TEXT_WIDTH,
    Emoji,
    content_words,
    cut_tiles,
    decode_png,
    hash_words,
    parse_emoji,
    read_emoji,
    variant_key,
)
from bogc.errors import DataError, FetchError

from .archives import make_tar

PICTURE_LIST = [
    {"unified": "1F3C3-200D-2642-FE0F", "category": "People & Body", "sheet_x": 1, "sheet_y": 0},
    {"unified": "1F3FB", "category": "Component", "sheet_x": 0, "sheet_y": 0},
    {"unified": "1F1E9-1F1EA", "category": "Flags", "sheet_x": 0, "sheet_y": 1},
    {"unified": "1F3C3", "category": "People & Body", "sheet_x": 2, "sheet_y": 1},
]
WORD_LIST = [
    {"hexcode": "1F3C3", "label": "person running", "tags": ["fast", "person"]},
    {"hexcode": "1F3C3-200D-2642", "label": "man running", "tags": ["man"]},
    {"hexcode": "1F1E9-1F1EA", "label": "flag: Germany"},
]
SHEET = np.random.RandomState(0).randint(0, 256, (2 * 34, 3 * 34, 4)).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA" if pixels.shape[2:] == (4,) else None).save(file, "PNG")
    return file.getvalue()


def tiny(
    folder: Path, pictures=PICTURE_LIST, words=WORD_LIST, sheet: bytes | None = None
) -> MultimodalDataset:
    files = {
        "package/emoji.json": json.dumps(pictures).encode(),
        "package/img/google/sheets-clean/32.png": png(SHEET) if sheet is None else sheet,
    }
    annotations = {"package/en/data.json": json.dumps(words).encode()}
    return read_emoji(make_tar(folder / "pictures.tgz", files), make_tar(folder / "words.tgz", annotations))


def test_pictures_words_classes_and_groups_are_of_the_same_emoji(tmp_path):
    dataset = tiny(tmp_path)
    assert dataset.class_names == CATEGORIES
    assert [CATEGORIES[target] for target in dataset.targets] == ["People & Body", "Flags", "People & Body"]
    assert dataset.groups[0] == dataset.groups[2] != dataset.groups[1]
    words = [["man", "running", "man"], ["germany"], ["running", "fast"]]
    assert torch.equal(dataset.inputs["text"], hash_words(words))


def test_pictures_lie_over_white(tmp_path):
    image = tiny(tmp_path).inputs["image"]
    assert (image.dtype, tuple(image.shape)) == (torch.float32, (3, 3, 32, 32))
    for index, (row, column) in enumerate([(0, 1), (1, 0), (1, 2)]):
        tile = SHEET[row * 34 + 1 : row * 34 + 33, column * 34 + 1 : column * 34 + 33].astype(float) / 255
        for channel in range(3):
            expected = tile[..., channel] * tile[..., 3] + 1.0 - tile[..., 3]
            np.testing.assert_allclose(image[index, channel].numpy(), expected, atol=1e-6)


def test_clear_is_white_and_opaque_is_unchanged():
    sheet = np.zeros((34, 68, 4), dtype=np.uint8)
    sheet[:, 34:] = [255, 0, 51, 255]
    tiles = cut_tiles(sheet, [Emoji("clear", (), "Flags", 0, 0), Emoji("opaque", (), "Flags", 1, 0)])
    assert torch.equal(tiles[0], torch.ones(3, 32, 32, dtype=torch.float32))
    assert tiles[1, :, 5, 5].tolist() == pytest.approx([1.0, 0.0, 0.2])


@pytest.mark.parametrize(("column", "row"), [(3, 0), (0, 2), (-1, 0), (0, -1)])
def test_a_tile_outside_the_sheet(column, row):
    match = f"lost must lie in a sheet of 2 rows and 3 columns; found row {row}, column {column}"
    with pytest.raises(DataError, match=match):
        cut_tiles(SHEET, [Emoji("lost", (), "Flags", column, row)])


def test_a_sheet_with_a_palette_is_decoded_too():
    pixels = np.zeros((4, 4, 4), dtype=np.uint8)
    pixels[..., 3], pixels[0, 0] = 255, [255, 0, 0, 255]
    file = io.BytesIO()
    Image.fromarray(pixels[..., :3]).convert("P").save(file, "PNG")
    np.testing.assert_array_equal(decode_png("sheet", file.getvalue()), pixels)


@pytest.mark.parametrize("kept", [0, 4, 100, -200])
def test_a_damaged_sheet(kept, tmp_path):
    with pytest.raises(DataError, match=r"32\.png must be a complete PNG"):
        tiny(tmp_path, sheet=png(SHEET)[:kept])


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (b"[", b"[]"),
        (b"{}", b"\xff"),
        (b'[{"unified": "1F3C3"}]', b"[]"),
        (b"[3]", b"[]"),
        (json.dumps(PICTURE_LIST).encode(), b"[]"),
        (json.dumps(PICTURE_LIST).encode(), b'[{"label": "no code"}]'),
    ],
)
def test_other_lists_are_refused(pictures, words):
    with pytest.raises(DataError, match="emoji must be two JSON lists with a name for each picture"):
        parse_emoji(pictures, words)


def test_a_truncated_archive_is_reported(tmp_path):
    (tmp_path / PICTURES.filename).write_bytes(b"\x1f\x8b")
    with pytest.raises(FetchError, match=r"google-16\.0\.0\.tgz must have SHA-256 fb5fd131.*Delete"):
        load_emoji(tmp_path)


def test_the_published_emoji(emoji):
    assert tuple(emoji.inputs["image"].shape) == (1906, 3, 32, 32)
    assert tuple(emoji.inputs["text"].shape) == (1906, 1024)
    assert torch.bincount(emoji.targets).tolist() == [169, 386, 159, 131, 218, 85, 264, 224, 270]
    for value in emoji.inputs.values():
        assert value.dtype == torch.float32
        assert value.flatten(1).any(dim=1).all()
    assert float(emoji.inputs["image"].min()) >= 0
    assert float(emoji.inputs["image"].max()) <= 1


def test_groups_are_of_one_category_and_few_emoji(emoji):
    _, groups = emoji.groups.unique(return_inverse=True)
    assert int(groups.max()) + 1 == 1685
    for group in range(1685):
        assert len(emoji.targets[groups == group].unique()) == 1
    assert int(torch.bincount(groups).max()) == 30  # families


@pytest.mark.parametrize("fold", range(5))
def test_no_group_straddles_a_split(emoji, fold):
    split = make_split(emoji, folds=5, fold=fold, seed=0)
    parts = [set(emoji.groups[part].tolist()) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 1685
    assert all(len(emoji.targets[part].unique()) == 9 for part in (split.train, split.test))


def test_no_text_names_a_category():
    named = {word.lower() for category in CATEGORIES for word in category.split() if word != "&"}
    assert content_words(" ".join(CATEGORIES), sorted(named)) == []


WORDS = st.lists(st.text("abcdé1", min_size=1, max_size=4), max_size=6)


def test_words_of_name_and_tags_without_those_of_the_categories():
    assert content_words("flag: Germany", ["DE", "flag"]) == ["germany", "de"]
    assert content_words("keycap: 5", ["5", "Five"]) == ["keycap", "5", "5", "five"]
    assert content_words("pot of food", ["foods", "Place"]) == ["pot", "of"]
    assert content_words("foodie", ["flagship"]) == ["foodie", "flagship"]


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_rows_have_length_one_and_do_not_depend_on_other_rows_or_on_order(texts):
    hashed = hash_words(texts)
    assert (hashed.dtype, tuple(hashed.shape)) == (torch.float32, (len(texts), TEXT_WIDTH))
    for row, text in zip(hashed, texts, strict=True):
        assert torch.equal(row, hash_words([text])[0])
        assert torch.equal(row, hash_words([text[::-1]])[0])
        length = float(row.double().norm())
        assert abs(length - 1) < 1e-6 or not row.any()
    assert not hash_words([[]]).any()


def test_a_row_is_the_sum_of_its_words():
    words = ["running", "man", "fast", "fast"]
    total = sum(hash_words([[word]])[0].double() for word in words)
    torch.testing.assert_close(hash_words([words])[0].double(), total / total.norm(), atol=1e-6, rtol=0)


def test_the_hash_is_fixed():
    hashed = hash_words([["running"], ["germany"]])
    assert [(int(row.abs().argmax()), float(row.sum())) for row in hashed] == [(869, 1.0), (143, -1.0)]


@pytest.mark.parametrize(
    "variants",
    [
        ["man running", "woman running: facing right", "person running"],
        ["farmer", "woman farmer"],
        ["prince", "princess", "person with crown"],
        ["Santa Claus", "Mrs. Claus", "Mx Claus"],
        ["merman", "mermaid", "merperson"],
        ["old man", "older person"],
        ["family", "family: man, woman, girl, boy", "family: adult, child"],
        ["woman and man holding hands", "people holding hands"],
        ["men’s room", "women’s room"],
        ["man", "woman", "person", "boy", "girl", "child"],
    ],
)
def test_variants_of_a_concept(variants):
    assert len({variant_key(name) for name in variants}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("man running", "man walking"),
        ("keycap: #", "keycap: *"),
        ("keycap: 1", "keycap: 2"),
        ("left-facing fist", "right-facing fist"),
        ("man", "old man"),
        ("kiss", "kiss mark"),
        ("flag: Oman", "flag: Germany"),
        ("running shoe", "person running"),
    ],
)
def test_concepts_that_differ(one, other):
    assert variant_key(one) != variant_key(other)
