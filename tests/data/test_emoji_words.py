import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.data.emoji_words import TEXT_WIDTH, content_words, hash_words, variant_key

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
