"""What the words that belong to an emoji say: as a vector, and which emoji are variants of one concept."""

import re
from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from jaxtyping import Float32
from sklearn.feature_extraction import FeatureHasher
from sklearn.preprocessing import normalize
from torch import Tensor

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
