import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.rounding import three_digits


@given(st.floats(0.001, 999_000))
def test_within_half_a_unit_of_the_third_digit_and_without_exponent(value: float):
    text = three_digits(value)
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.5001e-2)


@pytest.mark.parametrize(("value", "text"), [(26_012, "26,000"), (4.1349, "4.13"), (20.0, "20")])
def test_examples(value: float, text: str):
    assert three_digits(value) == text
