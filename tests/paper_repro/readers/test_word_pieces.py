from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import DataError, RangeError
from paper_repro.readers.word_pieces import WordPieces, read_vocabulary, words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LETTERS = ["a", "b", "c", "##a", "##b", "##c"]
PIECES = [*SPECIAL, *LETTERS, "ab", "abc", "##bc", "creme", "brule", "##e", ",", "!", "寿", "司"]


@pytest.fixture
def vocabulary(tmp_path: Path) -> WordPieces:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return read_vocabulary(tmp_path / "vocab.txt")


def read_back(vocabulary: WordPieces, text: str, length: int) -> list[str]:
    names = {index: piece for piece, index in vocabulary.indices.items()}
    return [names[index] for index in vocabulary(text, length).tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Crème  brûlée!", ["creme", "brule", "##e", "!"]),  # accents and case go, marks stand alone
        ("abca", ["abc", "##a"]),  # the longest piece first
        ("cabc", ["c", "##a", "##bc"]),
        ("ab,c", ["ab", ",", "c"]),
        ("a\tb\u200bc\u00a0a", ["a", "b", "##c", "a"]),  # white space parts, control characters do not
        ("寿司", ["寿", "司"]),
        ("abd a", ["[UNK]", "a"]),  # one letter that is missing makes the word unknown
        ("", []),
        ("a" * 101, ["[UNK]"]),
    ],
)
def test_text_is_cut_as_bert_does(vocabulary: WordPieces, text: str, expected: list[str]):
    framed = ["[CLS]", *expected, "[SEP]"]
    assert read_back(vocabulary, text, 12) == framed + ["[PAD]"] * (12 - len(framed))


@given(st.text("abc", min_size=1, max_size=30))
def test_pieces_put_together_are_the_word(word: str):
    pieces = WordPieces({piece: index for index, piece in enumerate(PIECES)}).pieces(word)
    assert "".join(piece.removeprefix("##") for piece in pieces) == word
    assert [piece.startswith("##") for piece in pieces] == [False] + [True] * (len(pieces) - 1)


@given(st.text(max_size=40))
def test_words_have_no_space_and_are_lower_case(text: str):
    for word in words(text):
        assert word
        assert word.split() == [word]


def test_a_long_text_is_cut_off_before_the_end_mark(vocabulary: WordPieces):
    assert read_back(vocabulary, "a b c a b", 5) == ["[CLS]", "a", "b", "c", "[SEP]"]
    with pytest.raises(RangeError, match="length must be at least 2; found 1"):
        vocabulary("a", 1)


def test_another_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"vocab\.txt must exist"):
        read_vocabulary(tmp_path / "vocab.txt")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\na\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"must hold \[PAD\].*found no \['\[CLS\]', '\[SEP\]'\]"):
        read_vocabulary(tmp_path / "vocab.txt")
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"vocab\.txt, line 1 must be UTF-8; found the byte 0xff"):
        read_vocabulary(tmp_path / "vocab.txt")
