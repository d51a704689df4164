import pytest

from theory.chapters import chapters
from theory.display_mutation import TRUE_AS_WELL, display_mutants, display_survivors, edits
from theory.latex import tokens
from theory.values import Each

EVERY, FIRST = 29, 0  # raise FIRST to try others; `python -m theory --mutate` tries all


def changes(text: str, **names: object) -> set[str]:
    found = tokens(text)
    scope = {tokens(name): value for name, value in names.items()}
    return {" ".join((*found[:start], *new, *found[stop:])) for start, stop, new in edits(found, scope)}


def test_signs_fractions_numbers_powers_relations_and_symbols_are_changed():
    assert changes("a+b^2<3", a=1.0, b=2.0) == {
        "a - b ^ 2 < 3",
        "a + b ^ { 2 + 1 } < 3",
        "a + b ^ 3 < 3",
        "a + b ^ 2 > 3",
        "a + b ^ 2 < 4",
        "b + b ^ 2 < 3",
        "a + a ^ 2 < 3",
    }
    assert changes(r"\frac xy", x=1.0) == {r"\frac { y } { x }", "{ x } { y }"}
    assert changes(r"\sum_kx_k/m", k=Each([1]), m=2.0, x=[1.0, 2.0]) >= {r"\sum _ k x _ k \cdot m"}


def test_what_stands_for_the_same_number_may_be_exchanged():
    assert changes("a=b", a=1.0, b=1.0) == set()


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.path.stem)
def test_mutants_of_displays_are_caught(chapter):
    count, alive = display_survivors(chapter, EVERY, FIRST)
    assert count > 0
    assert alive == []


def test_every_exception_is_a_change_of_its_display(monkeypatch: pytest.MonkeyPatch):
    exceptions = dict(TRUE_AS_WELL)
    monkeypatch.setattr("theory.display_mutation.TRUE_AS_WELL", {})
    displays = {number: text for chapter in chapters() for number, text in chapter.displays.items()}
    for number, change in exceptions:
        assert change in [found for found, _ in display_mutants(number, displays[number])]
