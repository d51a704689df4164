"""Mutation of displays: a display changed in one place must no longer agree with its reading."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from theory.chapters import Chapter
from theory.display import points, read
from theory.latex import Key, tokens
from theory.values import Average, Each

SWAPS = {"+": "-", "<": ">", r"\le": r"\ge", r"\ne": "=", r"\subseteq": r"\supseteq", r"\in": r"\ni"}
SWAPS |= {r"\sum": r"\prod", r"\max": r"\min"}
SWAPS |= {after: before for before, after in SWAPS.items() if after != "="}
SWAPS |= {r"\log": r"\exp", r"\ln": r"\exp"}

# Changes that leave a display true, and why.
TRUE_AS_WELL = {
    ("0.7", r"\frac { \lVert g _ { \mathrm { p l a i n } } \rVert } { -> "
     r"\frac { \lVert \hat g _ { \mathrm { s c a l e d } } \rVert } {"): "the lengths are the same",
    ("1.33", r"\sum _ n \delta _ n = -> \sum _ n z _ n ="): "z sums to 0 as well",
    ("1.33", r"n \delta _ n z _ n -> n \delta _ k z _ n"): "z sums to 0",
    ("1.33", r"n z _ n = 0 -> n z _ k = 0"): "delta sums to 0",
    ("4.4", r"| B | - | A | -> | B | + | A |"): "of the same parity",
    ("4.12", r"\le \min ( u _ 1 , u _ -> \le \min ( u , u _"): "u is below u_2",
    ("4.12", r"_ 1 , u _ 2 ) . -> _ 1 , u ) ."): "u is below u_1",
    ("4.26", r"k \qquad \text{if} e _ k > 0 . -> k \qquad \text{if} e ^ { ( n ) } _ k > 0 ."): "equivalent",
    ("4.37", r"| B | - | A | -> | B | + | A |"): "of the same parity",
    ("4.37", r"| A | + 1 } } -> | A | - 1 } }"): "of the same parity",
    ("5.25", r"( B ) \bar g _ A + c ( -> ( B ) g + c ("): "c(B) is independent of the half A",
    ("5.25", r"( A ) \bar g _ B } 2 ] -> ( A ) g } 2 ]"): "c(A) is independent of the half B",
    ("6.8", r"( \frac { \Delta _ m } -> ( \frac { \Delta ^ + _ m }"): "the same where no gain is negative",
    ("6.8", r"\sum _ j \Delta _ j } -> \sum _ j \Delta ^ + _ j }"): "the same where no gain is negative",
    ("7.15", r"\frac { \lVert g _ { \mathrm { p l a i n } } \rVert } { -> "
     r"\frac { \lVert \hat g \rVert } {"): "the lengths are the same",
    ("6.2", r"_ { j < i } \frac -> _ { j > i } \frac"): "the summand is symmetric",
}  # fmt: skip

Edit = tuple[int, int, Key]  # start and stop of what is replaced, and by what


def edits(text: Key, names: dict[Key, Any]) -> Iterator[Edit]:
    """Yield changes of one sign, fraction, number, exponent, relation, index or symbol."""
    for at, token in enumerate(text):
        after = text[at + 1 :]
        if token in SWAPS:
            yield at, at + 1, (SWAPS[token],)
        if token == r"\frac":
            top, bottom, length = arguments(after)
            yield at, at + 1 + length, (token, "{", *bottom, "}", "{", *top, "}")
            yield at, at + 1 + length, ("{", *top, "}", "{", *bottom, "}")
        if token == "/":
            yield at, at + 1, (r"\cdot",)
        if token == "^" and after[0] not in ("{", r"\top"):
            yield at + 1, at + 2, ("{", after[0], "+", "1", "}")
        if token.isdigit() and not (after and after[0].isdigit()):
            yield at, at + 1, tuple(str(int(token) + 1))
    yield from swaps(text, names)


def arguments(text: Key) -> tuple[Key, Key, int]:
    """Return both arguments of a fraction, without their braces, and how many tokens they take."""
    found, at = [], 0
    for _ in range(2):
        start, depth = at, 0
        while at == start or depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        found.append(text[start + 1 : at - 1] if at > start + 1 else text[start:at])
    return found[0], found[1], at


def swaps(text: Key, names: dict[Key, Any]) -> Iterator[Edit]:
    """Yield replacements of one symbol by another of its kind in the display."""
    spots, at = list[tuple[int, Key]](), 0
    while at < len(text):
        name = max((n for n in names if text[at : at + len(n)] == n), key=len, default=None)
        if name is not None:
            spots.append((at, name))
        at += len(name) if name else 1
    present = list(dict.fromkeys(name for _, name in spots))
    for at, name in spots:
        alike = [other for other in present if kind(names[other]) == kind(names[name])]
        for other in alike:
            if other != name and not equal(names[other], names[name]):
                yield at, at + len(name), other


def kind(value: Any) -> object:
    """Return what tells a name from those that it could be taken for."""
    return np.shape(value) if isinstance(value, np.ndarray) else (callable(value), isinstance(value, Each))


def equal(a: Any, b: Any) -> bool:
    """Whether two names stand for the same number or array: then either may be written."""
    return bool(isinstance(a, int | float | np.ndarray) and np.array_equal(a, b))


def display_mutants(number: str, display: str) -> Iterator[tuple[str, Key]]:
    """Yield (what was changed, the tokens of the changed display)."""
    names = dict(points(number)[-1].scope)
    for value in list(names.values()):
        names |= value.outcomes[0] if isinstance(value, Average) else {}
    text = tokens(display)
    for start, stop, new in edits(text, names):
        left, right = text[max(0, start - 3) : start], text[stop : stop + 3]
        change = f"{' '.join((*left, *text[start:stop], *right))} -> {' '.join((*left, *new, *right))}"
        if (number, change) not in TRUE_AS_WELL:
            yield change, (*text[:start], *new, *text[stop:])


def display_survivors(chapter: Chapter, every: int = 1, first: int = 0) -> tuple[int, list[tuple[str, str]]]:
    """Mutate every display of a chapter; return the number of mutants and those that still agree.

    ``every`` and ``first`` take a sample, as in ``theory.mutation.survivors``.
    """
    found = [(number, *m) for number, text in chapter.displays.items() for m in display_mutants(number, text)]
    found = found[first::every]
    return len(found), [(number, change) for number, change, mutant in found if agrees(number, mutant)]


def agrees(number: str, mutant: Key) -> bool:
    """Whether a display still agrees with its reading; one that cannot be read does not."""
    try:
        read(number, mutant)
    except Exception:  # whatever a mutant raises, it is caught
        return False
    return True
