"""Tokens of LaTeX in math mode."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from pylatexenc.latexwalker import LatexWalker, LatexWalkerEndOfStream
from pylatexenc.macrospec import LatexContextDb

Key = tuple[str, ...]

SPACE = re.compile(r"\\(thinspace|enspace|left|right|[bB]igg?[lr]?|[,;:! ])|~")
ENVIRONMENT = re.compile(r"\\(begin|end)\{\w+\}(\{[lrc]+\})?")
PLAIN = {
    r"\lvert": "|",
    r"\rvert": "|",
    r"\tfrac": r"\frac",
    r"\dfrac": r"\frac",
    r"\cr": r"\qquad",
    "&": r"\qquad",
}
BRACKETS = {
    "(": ")",
    "[": "]",
    "{": "}",
    r"\lbrace": r"\rbrace",
    r"\langle": r"\rangle",
    r"\lVert": r"\rVert",
}


@cache
def tokens(text: str) -> Key:
    """Tokens of LaTeX in math mode, without spaces and sizes; braces around a single token are dropped."""
    text = ENVIRONMENT.sub("", text)
    walker, found, at = LatexWalker(text, latex_context=LatexContextDb()), list[str](), 0
    while True:
        try:
            token = walker.get_token(at, environments=False)
        except LatexWalkerEndOfStream:
            return tuple(unbraced(found))
        at = token.pos + token.len
        name = "\\" + token.arg if token.tok == "macro" else text[token.pos : at].strip()
        if name == r"\text":  # one token with its words
            start, at = at, text.index("}", at) + 1
            name += f"{{{text[start + 1 : at - 1].strip()}}}"
        if name and not SPACE.fullmatch(name):
            found.append(PLAIN.get(name, name))


def unbraced(found: list[str]) -> Iterator[str]:
    """Yield the tokens, ``{x}`` as ``x``."""
    at = 0
    while at < len(found):
        single = found[at] == "{" and at + 2 < len(found) and found[at + 2] == "}"
        yield found[at + 1] if single else found[at]
        at += 3 if single else 1


def split(text: Sequence[str], separators: Sequence[str]) -> list[Key]:
    """Cut at separators that stand in no bracket."""
    parts, depth = [list[str]()], 0
    for token in text:
        depth += (token in BRACKETS) - (token in BRACKETS.values())
        if token in separators and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts if part]
