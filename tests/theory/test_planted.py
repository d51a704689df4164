import pytest

from tests.theory.planted import DISPLAYS, Fault, caught, caught_by_reading, planted


def test_forty_faults_in_all_chapters():
    assert len(DISPLAYS) == len(set(DISPLAYS)) == 40
    assert {fault.file[:2] for fault in DISPLAYS} == {f"0{number}" for number in range(7)}


@pytest.mark.parametrize("fault", DISPLAYS, ids=lambda fault: f"{fault.file[:2]}: {fault.new[:30]}")
def test_a_planted_fault_is_caught(fault: Fault):
    assert caught(fault)


def test_what_is_no_fault_is_not_caught():
    assert not caught_by_reading(Fault("03_opinion.md", r"\sum_k b_k + u = 1", r"u + \sum_k b_k = 1"))


def test_what_stands_nowhere_cannot_be_planted():
    with pytest.raises(ValueError, match=r"stands 0 times in 03_opinion\.md"):
        planted(Fault("03_opinion.md", "nowhere", ""))
