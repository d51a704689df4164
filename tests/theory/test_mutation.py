from pathlib import Path
from types import ModuleType

import pytest

from theory.chapters import chapters, load
from theory.mutation import mutants, survivors

EVERY, FIRST = 25, 1  # raise FIRST to try others; `python -m theory --mutate` tries all

SOUND = """
from theory.registry import How, check, formula

@formula("9.1")
def area(a, b):
    return a * b / 2

@check("9.1", how=How.EXHAUSTIVE)
def counts_squares():
    return max(abs(area(a, b) - sum(b for _ in range(a)) / 2) for a in range(3, 6) for b in range(3, 6))
"""
BLIND = SOUND.replace("return max(", "return 0 * max(")


def module(tmp_path: Path, source: str, name: str) -> ModuleType:
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    return load(path)


def test_every_operator_and_constant_is_changed(tmp_path: Path):
    changes = {m.change for m in mutants(module(tmp_path, SOUND, "90_changes").area)}
    assert changes == {"a * b / 2 -> a * b * 2", "a * b -> a / b", "2 -> 3"}


def test_a_sound_check_catches_all_and_the_formula_is_put_back(tmp_path: Path):
    chapter = module(tmp_path, SOUND, "91_sound")
    before = chapter.area
    assert survivors(chapter) == (3, [])
    assert chapter.area is before


def test_a_check_that_cannot_fail_is_found_out(tmp_path: Path):
    count, alive = survivors(module(tmp_path, BLIND, "92_blind"))
    assert (count, len(alive)) == (3, 3)


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.path.stem)
def test_mutants_of_the_theory_are_caught(chapter):
    count, alive = survivors(chapter.module, EVERY, FIRST)
    assert count > 0
    assert [f"{m.formula}: {m.change}" for m in alive] == []


def test_a_sample_of_mutants(tmp_path: Path):
    chapter = module(tmp_path, BLIND, "94_sample")
    assert [m.change for m in survivors(chapter, 2)[1]] == ["a * b / 2 -> a * b * 2", "2 -> 3"]
    assert survivors(chapter, 2, 1)[0] == 1


def test_a_check_that_fails_anyway_catches_nothing(tmp_path: Path):
    broken = SOUND.replace("return max(", "return 1 + max(")
    count, alive = survivors(module(tmp_path, broken, "93_broken"))
    assert (count, len(alive)) == (3, 3)
