"""Nearly dogmatic sources, down to the smallest float: what is fused is exact and knows no order."""

import math
from fractions import Fraction
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.belief import MOST_EVIDENCE, Evidence, Opinion
from bogc.combination import RULES, cautious, cumulative, reduced
from bogc.combination.sources import FEW

COMBINE = {"dempster": reduced.combine, "cumulative": cumulative.combine, "cautious": cautious.combine}
RATIO = {"dempster": lambda r: math.prod(1 + e for e in r) - 1, "cumulative": sum, "cautious": max}
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
EVERY_RULE = pytest.mark.parametrize("name", COMBINE)


def exact(name: str, ratios: list[list[Fraction]]) -> list[float]:
    """Shares of the hypotheses and of doubt, from r = b/u of each source, in rational numbers."""
    fused = [RATIO[name](column) for column in zip(*ratios, strict=True)]
    total = sum(fused) + 1
    return [float(share / total) for share in (*fused, Fraction(1))]


def of_opinions(opinions: list[Opinion]) -> list[list[Fraction]]:
    return [[Fraction(b) / Fraction(o.uncertainty.item()) for b in o.belief.tolist()] for o in opinions]


def of_evidence(evidence: Evidence) -> list[list[Fraction]]:
    weight = Fraction(evidence.prior_weight)
    return [[Fraction(e) / weight for e in row] for row in evidence.values.tolist()]


def shares(opinion: Opinion) -> torch.Tensor:
    return torch.cat([opinion.belief, opinion.uncertainty.unsqueeze(-1)]).double()


def assert_exact(found: Opinion, expected: list[float]) -> None:
    """To rounding, or to the smallest normal number below which a dtype rounds more coarsely."""
    kind = torch.finfo(found.belief.dtype)
    torch.testing.assert_close(
        shares(found), torch.tensor(expected).double(), rtol=4 * kind.eps, atol=kind.tiny
    )


@st.composite
def nearly_dogmatic(draw: st.DrawFn, dtype: torch.dtype, count: int) -> list[Opinion]:
    """K = 2 to 16 hypotheses; each source is for one of them, some for a second, with hardly any doubt."""
    size, least = draw(st.integers(2, 16)), torch.nextafter(*torch.tensor([0, 1], dtype=dtype)).item()
    rate = torch.full((size,), 1 / size, dtype=dtype)
    found = []
    for source in range(count):
        doubt = torch.tensor(max(math.exp(draw(st.floats(math.log(least), -0.1))), least), dtype=dtype)
        belief = torch.zeros(size, dtype=dtype)
        second = draw(st.sampled_from([0.0, least, 2.0**-10, 0.25]))
        second = min(second, 1 - doubt.item())
        belief[source % size] = 1 - doubt.item() - second
        belief[draw(st.integers(0, size - 1))] += second
        found.append(Opinion(belief, doubt, rate))
    return found


@EVERY_RULE
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(max_examples=5)
@given(data=st.data())
def test_three_opposed_sources_are_exact_in_every_order(name: str, dtype: torch.dtype, data: st.DataObject):
    sources = data.draw(nearly_dogmatic(dtype, 3))
    expected = exact(name, of_opinions(sources))
    for order in permutations(sources):
        assert_exact(COMBINE[name](order), expected)


@EVERY_RULE
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_crowd_for_one_and_a_crowd_for_another_end_even_whoever_speaks_first(name, dtype):
    """Forty opposed sources with the least doubt that there is: their product is 1e-12944."""
    doubt, rate = torch.nextafter(*torch.tensor([0, 1], dtype=dtype)), torch.ones(2)
    one, other = (Opinion(b, doubt, (rate / 2).to(dtype)) for b in torch.eye(2, dtype=dtype))
    for order in ([one] * 20 + [other] * 20, [one, other] * 20, [one] * 20 + [other] * 21):
        expected = exact(name, of_opinions(order))
        assert_exact(COMBINE[name](order), expected)


@EVERY_RULE
@settings(max_examples=15)
@given(
    exponents=st.lists(st.floats(-3, 18), min_size=2, max_size=FEW + 2),
    size=st.integers(2, 4),
    weight=st.sampled_from([0.5, 2.0, 16.0]),
    seed=st.integers(0, 9),
)
def test_stacked_evidence_knows_no_order(name, exponents, size, weight, seed):
    """As much as the maps count, float32, as a step fuses it: each source for one hypothesis of few."""
    values = torch.zeros(len(exponents), size, dtype=torch.float32)
    for source, exponent in enumerate(exponents):
        values[source, source % size] = min(10**exponent, MOST_EVIDENCE)
    expected = torch.tensor(exact(name, of_evidence(Evidence(values, weight))), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(3):
        order = torch.randperm(len(values), generator=generator)
        fused = RULES[name].fuse(Evidence(values[order], weight))
        assert fused.values.sum() <= 1.001 * MOST_EVIDENCE
        torch.testing.assert_close(shares(Opinion.from_evidence(fused)), expected, rtol=0, atol=1e-5)


@EVERY_RULE
def test_two_for_one_outweigh_the_third_where_evidence_is_cut(name):
    """Each is as sure as the maps count; cut without its unit, [+, +, -] would end even."""
    values = torch.tensor([[MOST_EVIDENCE, 0], [MOST_EVIDENCE, 0], [0, MOST_EVIDENCE]], dtype=torch.float32)
    expected = exact(name, of_evidence(Evidence(values, 2.0)))
    for order in permutations(values):
        found = Opinion.from_evidence(RULES[name].fuse(Evidence(torch.stack(order), 2.0)))
        assert shares(found).tolist() == pytest.approx(expected, abs=1e-6)
