"""The table of docs/numerics.md: nothing is finite and wrong, and the page says what was measured."""

import pytest
import torch

from tests.numerics import CASES, DTYPES, PAGE, Found, error_of, filled, measured, table

LIMIT = 16  # eps


@pytest.fixture(scope="module")
def found() -> dict[str, dict[torch.dtype, Found]]:
    torch.set_num_threads(1)
    return measured()


def test_every_function_is_exact_to_a_few_roundings_or_refuses(found):
    wrong = {
        (name, dtype): row[dtype].error
        for name, row in found.items()
        for dtype in DTYPES
        if not row[dtype].error <= LIMIT
    }
    assert not wrong


def test_float64_takes_all_scales_and_every_dtype_some(found):
    for name, row in found.items():
        assert all(row[dtype].taken for dtype in DTYPES), name
        assert len(row[torch.float64].taken) == row[torch.float64].tried, name


def test_the_page_is_what_the_command_writes(found):
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text, table(found)) == text, "run python -m tests.numerics"


def test_a_wrong_digit_would_show():
    assert error_of([1.001, 2.0], [1.0, 2.0], torch.float64, whole=False) > 1e12
    assert error_of([1.001, 2.0], [1.0, 2.0], torch.bfloat16, whole=True) < 1
    assert len(CASES) > 20
