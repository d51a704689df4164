import importlib
import re

import pytest

from theory.chapters import Chapter, chapters
from theory.display import display_check, points
from theory.registry import checks_of, formulas_of
from theory.run import run

each = pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.path.stem)


def test_chapters_are_numbered_without_a_gap():
    assert [chapter.number for chapter in chapters()] == list(range(len(chapters())))


@each
def test_equations_are_numbered_in_order_and_titled(chapter: Chapter):
    assert chapter.tags == [f"{chapter.number}.{i + 1}" for i in range(len(chapter.tags))]
    assert list(chapter.statements) == chapter.tags


@each
def test_no_equation_is_without_formula_or_check(chapter: Chapter):
    checked = {number for check in checks_of(chapter.module) for number in check.equations}
    stated = {number for function in formulas_of(chapter.module) for number in function.equations}
    assert checked == set(chapter.tags), "an equation without check, or a check of no equation"
    assert stated == set(chapter.tags), "an equation without formula, or a formula of no equation"


@each
def test_every_check_passes(chapter: Chapter):
    failed = [(check.name, outcome.error, outcome.reason) for check in checks_of(chapter.module)
              if not (outcome := run(check)).passed]  # fmt: skip
    assert failed == []


@each
def test_every_display_is_tagged_has_a_reading_and_says_the_same(chapter: Chapter):
    assert chapter.text.count("$$") == 2 * len(chapter.tags)
    assert list(chapter.displays) == chapter.tags
    assert all(points(number) for number in chapter.tags)
    failed = [(number, outcome.reason) for number, text in chapter.displays.items()
              if not (outcome := run(display_check(number, text))).passed]  # fmt: skip
    assert failed == []


@each
def test_the_code_that_a_check_names_exists(chapter: Chapter):
    for check in checks_of(chapter.module):
        if check.code:
            parts = check.code.split(".")
            for split in range(len(parts), 0, -1):
                try:
                    found = importlib.import_module(".".join(parts[:split]))
                except ModuleNotFoundError:
                    continue
                for name in parts[split:]:
                    found = getattr(found, name)
                break


@each
def test_links_lead_somewhere(chapter: Chapter):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", chapter.text):
        assert (chapter.path.parent / target).exists(), target
