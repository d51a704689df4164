"""A small document, rendered as Markdown and as HTML."""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

STYLE = (
    "body{font-family:system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;line-height:1.45}"
    "table{border-collapse:collapse;font-size:.85rem}td,th{border:1px solid #bbb;padding:.2rem .5rem;"
    "text-align:left;vertical-align:top}th{background:#eee}img{max-width:100%}"
)


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 or 2."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Text, in which `code` stands between backticks."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A picture that lies in the folder of the document; HTML holds it within itself."""

    name: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain text, `code` between backticks."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block: TypeAlias = Heading | Paragraph | Picture | Table


def to_markdown(blocks: Sequence[Block]) -> str:
    """Render as Markdown, ending in a newline."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(title: str, blocks: Sequence[Block], pictures: dict[str, bytes]) -> str:
    """Render as one HTML file that needs no other.

    Args:
        title: Of the page.
        blocks: The document.
        pictures: Name to PNG, for every Picture.
    """
    body = "\n".join(_html(block, pictures) for block in blocks)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Picture(name, caption):
            return f"![{caption}]({name})"
        case Table(header, rows):
            lines = [header, ("---",) * len(header), *rows]
            return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _html(block: Block, pictures: dict[str, bytes]) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Picture(name, caption):
            data = base64.b64encode(pictures[name]).decode()
            return f'<img src="data:image/png;base64,{data}" alt="{html.escape(caption, quote=True)}">'
        case Table(header, rows):
            lines = [_line("th", header), *(_line("td", row) for row in rows)]
            return f"<table>{''.join(lines)}</table>"


def _line(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_inline(text)}</{tag}>' for text in cells)}</tr>\n"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
