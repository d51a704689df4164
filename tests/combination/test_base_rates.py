"""What becomes of base rates: Josang's book (2016), its formulas for two sources written out as there."""

from itertools import permutations

import pytest
import torch
from hypothesis import given

from bogc.belief import Evidence, Opinion
from bogc.combination import RULES, cautious, cumulative, reduced
from bogc.errors import ConfigError
from tests.properties.strategies import opinion_lists

BOTH = {"dempster": reduced.combine, "cumulative": cumulative.combine}
EITHER = pytest.mark.parametrize("name", BOTH)


def opinion(belief: list[float], rate: list[float], doubt: float | None = None) -> Opinion:
    values = torch.tensor(belief)
    return Opinion(values, 1 - values.sum() if doubt is None else torch.tensor(doubt), torch.tensor(rate))


def constraint(first: Opinion, second: Opinion) -> torch.Tensor:
    """Belief constraint fusion, 12.2: (a1 (1 - u1) + a2 (1 - u2)) / (2 - u1 - u2)."""
    (a1, u1), (a2, u2) = ((o.base_rate, o.uncertainty) for o in (first, second))
    return (a1 + a2) / 2 if u1 + u2 == 2 else (a1 * (1 - u1) + a2 * (1 - u2)) / (2 - u1 - u2)


def accumulated(first: Opinion, second: Opinion) -> torch.Tensor:
    """Cumulative fusion, 12.3: (a1 u2 + a2 u1 - (a1 + a2) u1 u2) / (u1 + u2 - 2 u1 u2)."""
    (a1, u1), (a2, u2) = ((o.base_rate, o.uncertainty) for o in (first, second))
    if u1 == u2 == 1:
        return (a1 + a2) / 2
    return (a1 * u2 + a2 * u1 - (a1 + a2) * u1 * u2) / (u1 + u2 - 2 * u1 * u2)


BOOK = {"dempster": constraint, "cumulative": accumulated}


@EITHER
def test_at_equal_doubt_they_are_averaged(name):
    first, second = opinion([0.6, 0.2], [0.9, 0.1]), opinion([0.1, 0.7], [0.1, 0.9])
    assert BOTH[name]([first, second]).base_rate.tolist() == pytest.approx([0.5, 0.5])


@EITHER
@given(sources=opinion_lists(most=2, amounts=1e2))
def test_two_sources_have_the_base_rate_of_the_book(name, sources):
    torch.testing.assert_close(BOTH[name](sources).base_rate, BOOK[name](*sources), rtol=0, atol=1e-12)


@EITHER
@given(sources=opinion_lists(most=3))
def test_the_fused_base_rate_is_one_and_knows_no_order(name, sources):
    rates = [BOTH[name](order).base_rate for order in permutations(sources)]
    for rate in rates:
        torch.testing.assert_close(rate, rates[0], rtol=0, atol=1e-14)
    fused = BOTH[name](sources)
    Opinion(fused.belief, fused.uncertainty, fused.base_rate)


@given(sources=opinion_lists(most=4))
def test_cumulative_base_rates_are_associative(sources):
    first, *others = sources
    found = cumulative.combine([first, cumulative.combine(others)]).base_rate
    torch.testing.assert_close(found, cumulative.combine(sources).base_rate, rtol=0, atol=1e-12)


@EITHER
def test_what_knows_nothing_does_not_count_unless_all_know_nothing(name):
    vague, sure = opinion([0.0, 0.0], [0.9, 0.1]), opinion([0.5, 0.25], [0.2, 0.8])
    assert BOTH[name]([vague, sure, vague]).base_rate.tolist() == pytest.approx([0.2, 0.8])
    other = opinion([0.0, 0.0], [0.3, 0.7])
    assert BOTH[name]([vague, other]).base_rate.tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize("doubt", [0.0, 5e-324, 1e-300])
def test_the_nearly_dogmatic_source_counts_alone_by_cumulative_fusion(doubt):
    """Its evidence is beyond the largest float; nothing becomes NaN."""
    sure, other = opinion([0.0, 1.0], [0.9, 0.1], doubt), opinion([0.5, 0.25], [0.2, 0.8])
    assert cumulative.combine([other, sure]).base_rate.tolist() == pytest.approx([0.9, 0.1])
    assert reduced.combine([sure, other]).base_rate.tolist() == pytest.approx([0.6, 0.4])


@EITHER
def test_a_base_rate_follows_the_doubt_of_its_row(name):
    rows = torch.tensor([[0.6, 0.2], [0.3, 0.1]])
    rates = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    batch, one = Opinion(rows, 1 - rows.sum(-1), rates), opinion([0.1, 0.7], [0.1, 0.9])
    fused = BOTH[name]([batch, one])
    for row in range(2):
        alone = [Opinion(rows[row], 1 - rows[row].sum(), rates[row]), one]
        torch.testing.assert_close(fused.base_rate[row], BOTH[name](alone).base_rate)


def test_the_cautious_rule_refuses_base_rates_that_differ():
    first, second = opinion([0.6, 0.2], [0.9, 0.1]), opinion([0.1, 0.7], [0.1, 0.9])
    match = "base_rate must be the same for all sources of this rule; found different ones. Give all of them"
    with pytest.raises(ConfigError, match=match):
        cautious.combine([first, second])


@pytest.mark.parametrize("name", RULES)
def test_one_base_rate_of_all_is_kept_as_it_is(name):
    rate = torch.tensor([0.2, 0.8], dtype=torch.float64)
    counted = Opinion.from_evidence(Evidence(torch.ones(2), 2.0), rate)
    for source in (counted, opinion([0.5, 0.25], [0.2, 0.8])):
        assert RULES[name].fold([source, counted]).base_rate is source.base_rate
