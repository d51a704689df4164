"""Word pieces: text to indices of a vocabulary, as BERT's uncased tokeniser cuts it (arXiv 1810.04805)."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Int64
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.files import read_text

PAD: Final = "[PAD]"
UNKNOWN: Final = "[UNK]"
FIRST: Final = "[CLS]"
LAST: Final = "[SEP]"
LONGEST: Final = 100  # characters of a word; longer ones are unknown

_ASCII_MARKS: Final = ((33, 47), (58, 64), (91, 96), (123, 126))
_IDEOGRAPHS: Final = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True)
class WordPieces:
    """A vocabulary; make it by :func:`read_vocabulary`.

    Attributes:
        indices: Piece to its index; a piece that goes on within a word begins with "##".
    """

    indices: Mapping[str, int]

    def __call__(self, text: str, length: int) -> Int64[Tensor, " length"]:
        """Cut ``text`` into pieces between [CLS] and [SEP]; cut off or filled with [PAD] to ``length``.

        Raises:
            RangeError: ``length`` is less than 2.
        """
        check_number("length", length, length >= 2, "must be at least 2", "Use 40.")
        pieces = [piece for word in words(text) for piece in self.pieces(word)]
        framed = [FIRST, *pieces[: length - 2], LAST]
        framed += [PAD] * (length - len(framed))
        return torch.tensor([self.indices[piece] for piece in framed], dtype=torch.int64)

    def pieces(self, word: str) -> list[str]:
        """Cut a word, each time the longest piece that the vocabulary has; if there is none, it is [UNK]."""
        if len(word) > LONGEST:
            return [UNKNOWN]
        found: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.indices), None)
            if end is None:
                return [UNKNOWN]
            found.append(prefix + word[start:end])
            start = end
        return found


def read_vocabulary(path: Path) -> WordPieces:
    """Read a vocabulary, one piece a line, such as the ``vocab.txt`` of bert-base-uncased.

    Raises:
        DataError: The file is missing, not UTF-8, or lacks one of [PAD], [UNK], [CLS] and [SEP].
    """
    remedy = "Use the vocab.txt of bert-base-uncased."
    lines = read_text(path, remedy).split("\n")
    indices = {line.rstrip("\r"): index for index, line in enumerate(lines) if line}
    missing = [piece for piece in (PAD, UNKNOWN, FIRST, LAST) if piece not in indices]
    if missing:
        raise DataError(str(path), f"must hold {PAD}, {UNKNOWN}, {FIRST} and {LAST}", f"no {missing}", remedy)
    return WordPieces(indices)


def words(text: str) -> Iterator[str]:
    """Words in lower case, without accents and control characters; marks and ideographs stand alone."""
    for token in "".join(_spaced(character) for character in text).split():
        plain = unicodedata.normalize("NFD", token.lower())
        kept = "".join(character for character in plain if unicodedata.category(character) != "Mn")
        yield from "".join(f" {c} " if _is_mark(c) else c for c in kept).split()


def _spaced(character: str) -> str:
    if character in "\t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    if character in "\0\ufffd" or unicodedata.category(character).startswith("C"):
        return ""
    return f" {character} " if _within(character, _IDEOGRAPHS) else character


def _is_mark(character: str) -> bool:
    return _within(character, _ASCII_MARKS) or unicodedata.category(character).startswith("P")


def _within(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(character) <= last for first, last in ranges)
