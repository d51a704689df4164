from fractions import Fraction

import pytest

from tests.oracles import dempster

A, B, C = (frozenset([k]) for k in range(3))
THETA = A | B | C


def test_zadehs_patient_is_certainly_what_both_doctors_thought_unlikely():
    """Zadeh 1979: meningitis .99, concussion .99, tumour .01 for both: the tumour gets all the mass."""
    first = {A: Fraction(99, 100), C: Fraction(1, 100)}
    second = {B: Fraction(99, 100), C: Fraction(1, 100)}
    fused, conflict = dempster.combine([first, second])
    assert fused == {C: 1}
    assert conflict == Fraction(9999, 10000)


def test_shafers_simple_supports_for_one_subset_multiply_their_doubts():
    """Shafer 1976, sec. 4.1: two simple supports .6 and .7 for A give 1 - .4 * .3."""
    first = {A | B: Fraction(6, 10), THETA: Fraction(4, 10)}
    second = {A | B: Fraction(7, 10), THETA: Fraction(3, 10)}
    fused, conflict = dempster.combine([first, second])
    assert fused == {A | B: Fraction(88, 100), THETA: Fraction(12, 100)}
    assert conflict == 0


@pytest.mark.parametrize(("index", "subset"), [(0, set()), (1, {0}), (2, {1}), (5, {0, 2}), (7, {0, 1, 2})])
def test_bits_name_hypotheses(index, subset):
    assert dempster.members(index) == subset
