"""Certainty and agreement from r and the sign, against the rules on opinions in rational or plain numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration.accumulator import Accumulator, Source
from bogc.calibration.certainties import (
    FullCertainty,
    SignAgreement,
    SignCertainty,
    SumAgreement,
    SumCertainty,
    SupportCertainty,
)

ODDS = st.floats(1e-6, 1e4)
SOURCES = st.lists(st.tuples(ODDS, st.floats(-5, 5)), min_size=1, max_size=6)  # r and mu / sqrt(v)


def source(odds: float, score: float, dtype: torch.dtype = torch.float64) -> Source:
    """Noise 1, so that tau^2 is r; the gradient is what gives mu / sqrt(v) = g sqrt(b)."""
    belief = odds / (1 + odds)
    numbers = (score / math.sqrt(belief), 2.0, 2 * odds, belief)
    return Source(*(torch.tensor([number], dtype=dtype) for number in numbers))


def value(of: Accumulator, sources: list[Source]) -> float:
    if len(sources) == 1:
        return of.only(sources[0]).item()
    state = of.first(sources[0])
    for middle in sources[1:-1]:
        state = of.add(state, middle)
    return of.finish(state, sources[-1], len(sources)).item()


def signs(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Fused evidence over W of both signs by Dempster's rule."""
    phi = [(r, 0.5 * math.erfc(-z / math.sqrt(2)), 0.5 * math.erfc(z / math.sqrt(2))) for r, z in pairs]
    return (
        math.expm1(sum(math.log1p(r * p) for r, p, _ in phi)),
        math.expm1(sum(math.log1p(r * n) for r, _, n in phi)),
    )


@given(SOURCES)
def test_certainty_on_the_sign(pairs):
    positive, negative = signs(pairs)
    total = positive + negative
    found = value(SignCertainty(), [source(*pair) for pair in pairs])
    assert found == pytest.approx(total / (1 + total), rel=1e-12)


@given(SOURCES)
def test_agreement_on_the_sign(pairs):
    positive, negative = signs(pairs)
    expected = abs(positive - negative) / (1 + positive + negative)
    assert value(SignAgreement(), [source(*pair) for pair in pairs]) == pytest.approx(expected, abs=1e-12)


@given(SOURCES)
def test_certainty_of_supports_is_one_less_the_product_of_uncertainties(pairs):
    expected = -math.expm1(-sum(math.log1p(r) for r, _ in pairs))
    found = value(SupportCertainty(), [source(*pair) for pair in pairs])
    assert found == pytest.approx(expected, rel=1e-12)


@given(SOURCES)
def test_cumulative_certainty_and_agreement(pairs):
    total = sum(r for r, _ in pairs)
    signed = sum(r * math.erf(z / math.sqrt(2)) for r, z in pairs)
    sources = [source(*pair) for pair in pairs]
    assert value(SumCertainty(), sources) == pytest.approx(total / (1 + total), rel=1e-12)
    assert value(SumAgreement(), sources) == pytest.approx(abs(signed) / (1 + total), abs=1e-12)
    assert value(FullCertainty(), sources) == 1


@pytest.mark.parametrize("form", [SignCertainty(), SupportCertainty(), SumCertainty()])
@pytest.mark.parametrize("odds", [1e-20, 1e-9])
def test_small_beliefs_keep_their_digits_in_float32(form, odds):
    """One less u would be 0 here."""
    sources = [source(odds, 0.3, torch.float32) for _ in range(3)]
    assert value(form, sources) == pytest.approx(3 * odds, rel=1e-6)


@pytest.mark.parametrize("form", [SignCertainty(), SumCertainty(), SupportCertainty(), SumAgreement()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_certainty_of_eight_sources_stays_finite(form, dtype):
    sources = [source(1e30, 3.0 * (-1) ** index, dtype) for index in range(8)]
    assert 0 <= value(form, sources) <= 1


def test_under_conflict_the_smaller_side_decides_in_float32_too():
    """Where both sides are nearly certain, 1 less Phi has no digits left; the fused opinion needs them."""
    pairs = [(1e6, 7.0), (3e6, -7.0)]
    positive, negative = signs(pairs)
    expected = abs(positive - negative) / (1 + positive + negative)
    found = value(SignAgreement(), [source(*pair, torch.float32) for pair in pairs])
    assert found == pytest.approx(expected, rel=1e-5)
