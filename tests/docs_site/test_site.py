"""The documentation site holds together: contents, links and included programs; nothing is built here."""

import ast
import re
from pathlib import Path

import pytest

from bogc.methods import METHODS

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "site"
INDEX = (SITE / "index.md").read_text(encoding="utf-8")
PAGES = sorted(SITE.glob("*.md"))
SOURCES = ("*.md", "docs/*.md", "docs/site/*.md", "theory/*.md", "notebooks/*.ipynb", "paper_repro/*.md")


def entries() -> list[str]:
    """What the tables of contents name, titles and options apart."""
    found = []
    for table in re.findall(r"```\{toctree\}\n(.*?)```", INDEX, re.DOTALL):
        lines = [line.strip() for line in table.splitlines() if line.strip() and line[0] != ":"]
        found += [re.sub(r"^.*<(.*)>$", r"\1", line) for line in lines]
    return found


def pages(entry: str) -> set[Path]:
    """Files that an entry stands for."""
    folder, _, pattern = entry.rpartition("/")
    if folder.endswith("*"):
        folder, pattern = folder.rpartition("/")[0], f"*/{pattern}"
    base = (SITE / folder).resolve()
    return {path for kind in (".md", ".ipynb") for path in base.glob(f"{pattern}{kind}")}


@pytest.mark.parametrize("entry", [entry for entry in entries() if not entry.startswith("api/")])
def test_an_entry_is_a_page(entry: str):
    assert pages(entry)


def test_every_page_is_in_the_contents():
    """A page outside fails the build of the site, where a warning is an error."""
    listed = {path for entry in entries() for path in pages(entry)} | {SITE / "index.md"}
    present = {path for pattern in SOURCES for path in ROOT.glob(pattern)}
    assert present - listed == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)\)|\{literalinclude\} (\S+)", text)
    assert targets
    for link, included in targets:
        assert (page.parent / (link or included)).exists(), link or included


def test_the_method_page_shows_every_part_of_the_program():
    shown = set(re.findall(r":pyobject: (\w+)", (SITE / "method.md").read_text(encoding="utf-8")))
    tree = ast.parse((ROOT / "bogc" / "mini.py").read_text(encoding="utf-8"))
    parts = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert shown == parts - {"Past", "count"}  # which come with the constants


def test_every_method_has_a_section():
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").partition("## One by one")[2]
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    headings = [section.partition("\n")[0] for section in sections]
    named = {name for heading in headings for name in re.split(", ", heading)}
    released = {name for name in METHODS if name.endswith("-released")}
    assert named == set(METHODS) - released
    assert all(f"`{name}`" in text for name in released)
    for section in sections:
        assert "When**" in section
        assert "Cost**" in section
        assert "arXiv" in section or "textbook" in section


@pytest.mark.parametrize("page", ["networks", "monitoring", "troubleshooting"])
def test_a_how_to_leads_back_to_the_readme(page: str):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert "[README](../README.md)" in text
    for target, anchor in re.findall(r"\]\((?!http)([^)#]+\.md)#([^)]+)\)", text):
        headings = re.findall(
            r"^#+ (.*)$", (ROOT / "docs" / target).read_text(encoding="utf-8"), re.MULTILINE
        )
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, (target, anchor)
