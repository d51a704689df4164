import pytest

from tests.theory.planted import DISPLAYS, Fault, caught, caught_by_reading, planted
from theory.chapters import chapters


def test_forty_faults_and_more_in_all_chapters():
    assert len(DISPLAYS) == len(set(DISPLAYS)) >= 40
    assert {fault.file[:2] for fault in DISPLAYS} == {f"{chapter.number:02}" for chapter in chapters()}


@pytest.mark.parametrize("fault", DISPLAYS, ids=lambda fault: f"{fault.file[:2]}: {fault.new[:30]}")
def test_a_planted_fault_is_caught(fault: Fault):
    assert caught(fault)


def test_what_is_no_fault_is_not_caught():
    assert not caught_by_reading(Fault("03_opinion.md", r"\sum_k b_k + u = 1", r"u + \sum_k b_k = 1"))


def test_what_stands_nowhere_cannot_be_planted():
    with pytest.raises(ValueError, match=r"stands 0 times in 03_opinion\.md"):
        planted(Fault("03_opinion.md", "nowhere", ""))
