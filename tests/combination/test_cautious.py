from fractions import Fraction
from itertools import pairwise

import evtools.combinations
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion
from bogc.combination import cautious, cumulative, reduced
from bogc.errors import DtypeError, RangeError, ShapeError
from tests.oracles import canonical
from tests.oracles import dempster as oracle
from tests.properties import combination as theorem
from tests.properties.strategies import base_rates, evidence_lists, opinions

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
ROUNDED = 1 + 1e-12


@st.composite
def small_frames(draw: st.DrawFn, most: int = 3, amounts: float = 1e3) -> list[Opinion]:
    """Two or three opinions on K = 2, 3 or 4 hypotheses, the sizes of frame that the oracle takes."""
    size = draw(st.integers(2, 4))
    each = opinions(size, amounts, draw(base_rates(size)))
    return draw(st.lists(each, min_size=2, max_size=most))


@st.composite
def opinion_lists(draw: st.DrawFn, most: int = 6, amounts: float = 1e3) -> list[Opinion]:
    """Two to ``most`` opinions on one frame, of one base rate, which is all that the rule takes."""
    size = draw(st.integers(2, 8))
    each = opinions(size, amounts, draw(base_rates(size)))
    return draw(st.lists(each, min_size=2, max_size=most))


def opinion(evidence: Evidence) -> Opinion:
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))


def ratio(opinion: Opinion) -> torch.Tensor:
    """Evidence over W."""
    return opinion.belief / opinion.uncertainty.unsqueeze(-1)


def fractions(opinion: Opinion) -> oracle.Mass[Fraction]:
    """The very masses of the opinion, divided by their sum, which rounding has left near 1."""
    belief = [Fraction(b) for b in opinion.belief.tolist()]
    uncertainty = Fraction(opinion.uncertainty.item())
    total = sum(belief) + uncertainty
    return oracle.from_opinion([b / total for b in belief], uncertainty / total)


def exact(opinions: list[Opinion]) -> torch.Tensor:
    """Masses of all subsets by canonical decomposition on the power set, in rational numbers."""
    size = opinions[0].belief.shape[-1]
    fused, _ = canonical.cautious([fractions(o) for o in opinions], size)
    return torch.tensor(oracle.to_list(fused, size), dtype=torch.float64)


def masses(opinion: Opinion) -> torch.Tensor:
    return MassFunction.from_opinion(opinion).values.double()


@given(small_frames())
def test_combine_is_the_least_of_canonical_weights_on_the_power_set(opinions):
    """Every subset: nothing lies off the singletons and the frame, so opinions are closed under the rule."""
    torch.testing.assert_close(masses(cautious.combine(opinions)), exact(opinions), rtol=1e-14, atol=0)


@given(small_frames(most=2))
def test_canonical_weights_of_an_opinion(opinions):
    """u / (b_k + u) on singletons, 1 on larger subsets, and of the empty set what undoes the conflict."""
    for source in opinions:
        size = source.belief.shape[-1]
        focal = fractions(source)
        u = focal[frozenset(range(size))]
        found = canonical.weights(focal, size)
        undone = found.pop(frozenset())
        assert found == {a: u / (focal[a] + u) if len(a) == 1 else 1 for a in found}
        assert undone >= 1
        back = canonical.compose({**found, frozenset(): undone}, size)
        assert {a: m for a, m in back.items() if m} == {a: m for a, m in focal.items() if m}


@given(small_frames(most=2, amounts=1e2))
def test_combine_agrees_with_evtools_once_its_conflict_is_divided_out(opinions):
    """Its rule is the unnormalised one, which leaves on the empty set what the least weights contradict."""
    names = [str(k) for k in range(opinions[0].belief.shape[-1])]
    first, second = (evtools.DSVector.from_dense(names, m.values.numpy()) for m in theorem.masses(opinions))
    expected = torch.from_numpy(np.array(evtools.combinations.cautious(first, second).dense))
    _, conflict = canonical.cautious([fractions(o) for o in opinions], len(names))
    assert expected[0].item() == pytest.approx(float(conflict), abs=1e-12)
    expected[0] = 0
    found = masses(cautious.combine(opinions))
    torch.testing.assert_close(found, expected / expected.sum(), rtol=0, atol=1e-9)


@given(evidence_lists())
def test_evidence_is_the_largest_of_the_sources(evidences):
    largest = torch.stack([e.values for e in evidences]).amax(0)
    expected = opinion(Evidence(largest, evidences[0].prior_weight))
    theorem.assert_same_opinion(cautious.combine([opinion(e) for e in evidences]), expected, 1e-11)
    first, second = evidences[0], evidences[1]
    values = cautious.evidence_pair(first.values, second.values, first.prior_weight, torch.ones(()))
    pair = cautious.combine([opinion(first), opinion(second)])
    theorem.assert_same_opinion(opinion(Evidence(values, first.prior_weight)), pair, 1e-11)


@given(opinions(), st.integers(1, 5))
def test_combine_is_idempotent(opinion, times):
    theorem.assert_same_opinion(cautious.combine([opinion] * times), opinion, 1e-15 * times)


@given(opinion_lists(), st.integers(0, 4))
def test_a_source_repeated_later_changes_nothing(opinions, index):
    repeated = [*opinions, opinions[index % len(opinions)]]
    theorem.assert_same_opinion(cautious.combine(repeated), cautious.combine(opinions))


@given(opinion_lists(most=4))
def test_combine_is_commutative(opinions):
    theorem.assert_commutative(cautious.combine, opinions)


@given(opinion_lists())
def test_combine_is_associative(opinions):
    theorem.assert_associative(cautious.combine, opinions)


@given(opinions())
def test_the_vacuous_opinion_is_neutral(opinion):
    theorem.assert_vacuous_neutral(cautious.combine, opinion)


@given(opinion_lists(amounts=1e6))
def test_uncertainty_never_grows(opinions):
    theorem.assert_uncertainty_never_grows(cautious.combine, opinions)


@given(opinion_lists(amounts=1e6))
def test_uncertainty_is_no_less_than_the_least_over_the_number_of_sources(opinions):
    least = torch.stack([o.uncertainty for o in opinions]).amin(0)
    assert cautious.combine(opinions).uncertainty * ROUNDED >= least / len(opinions)


@given(opinion_lists())
def test_evidence_is_at_most_cumulative_and_that_at_most_dempsters(opinions):
    """Largest, sum, sum with cross terms; and uncertainty the other way."""
    fused = [rule.combine(opinions) for rule in (cautious, cumulative, reduced)]
    for less, more in pairwise(fused):
        assert bool((ratio(less) <= ratio(more) * ROUNDED).all())
        assert bool((less.uncertainty * ROUNDED >= more.uncertainty).all())


@given(opinion_lists(), st.integers(0, 4), st.data())
def test_more_evidence_of_a_source_is_never_less_when_fused(opinions, index, data):
    index %= len(opinions)
    size = opinions[0].belief.shape[-1]
    amounts = st.just(0.0) | st.floats(1e-3, 1e3)
    added = torch.tensor(data.draw(st.lists(amounts, min_size=size, max_size=size)))
    grown = ratio(opinions[index]) + added
    total = 1 + grown.sum()
    changed = [*opinions]
    changed[index] = Opinion(grown / total, 1 / total, opinions[index].base_rate)
    before, after = cautious.combine(opinions), cautious.combine(changed)
    assert bool((ratio(after) * ROUNDED >= ratio(before)).all())
    assert bool((after.uncertainty <= before.uncertainty * ROUNDED).all())


@given(opinion_lists())
def test_fused_opinions_pass_the_check(opinions):
    theorem.assert_passes_the_check(cautious.combine(opinions))


def test_worked_values():
    """W = 2: evidence (3, 1) and (2, 2) is (3, 2) with u = 2/7; Dempster's rule finds (8, 4), u = 1/7."""
    sources = [opinion(Evidence(torch.tensor(e), 2.0)) for e in ([3.0, 1.0], [2.0, 2.0])]
    found = cautious.combine(sources)
    assert [*found.belief.tolist(), found.uncertainty.item()] == pytest.approx([3 / 7, 2 / 7, 2 / 7])
    assert reduced.combine(sources).uncertainty.item() == pytest.approx(1 / 7)


def test_a_shared_source_counts_once():
    """Two sources that both read a third: their own evidence is compared, the common part is not doubled."""
    common, own = torch.tensor([6.0, 0.0, 0.0]), torch.tensor([0.0, 4.0, 0.0])
    sources = [opinion(Evidence(e, 3.0)) for e in (common, common + own)]
    theorem.assert_same_opinion(cautious.combine(sources), sources[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_right_to_its_rounding(dtype, device):
    shares = torch.rand(3, 5).to(dtype).double()
    sources = [Opinion(s[:4].to(dtype), s[4].to(dtype), torch.full((4,), 0.25, dtype=dtype))
               for s in (shares / shares.sum(-1, keepdim=True))]  # fmt: skip
    expected = exact(sources)
    there = [Opinion(o.belief.to(device), o.uncertainty.to(device), o.base_rate.to(device)) for o in sources]
    found = cautious.combine(there)
    assert (found.belief.dtype, found.belief.device) == (dtype, there[0].belief.device)
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(masses(found).cpu(), expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tiny", [1e-6, 1e-30, 1e-37])
def test_nearly_dogmatic_sources_do_not_underflow(dtype, tiny):
    """u1 u2 would be 0 in float32; the smaller of them over Z is a normal number."""
    u = torch.tensor([tiny, 3 * tiny], dtype=torch.float64)
    beliefs = torch.tensor([[1.0, 0.0], [0.25, 0.75]], dtype=torch.float64) * (1 - u).unsqueeze(-1)
    rate = torch.full((2,), 0.5, dtype=dtype)
    sources = [Opinion(b.to(dtype), v.to(dtype), rate) for b, v in zip(beliefs, u, strict=True)]
    found = cautious.combine(sources)
    assert found.uncertainty > 0
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(masses(found), exact(sources), rtol=tolerance, atol=0)


def test_the_order_of_sources_does_not_matter_near_the_least_float():
    """Thirty-six sources from vacuous to nearly dogmatic, in float32 and in both orders."""
    generator = torch.Generator().manual_seed(0)
    rate = torch.full((3,), 1 / 3, dtype=torch.float32)
    sources = []
    for exponent in range(36):
        u = 10.0**-exponent
        shares = torch.rand(3, generator=generator, dtype=torch.float64)
        belief = (1 - u) * shares / shares.sum()
        sources.append(Opinion(belief.float(), torch.tensor(u, dtype=torch.float32), rate))
    for order in (sources, sources[::-1]):
        torch.testing.assert_close(masses(cautious.RULE.fold(order)), exact(sources), rtol=1e-5, atol=0)


def test_a_batch_is_combined_row_by_row():
    sources = [opinion(Evidence(100 * torch.rand(4, 3), 3.0)) for _ in range(3)]
    theorem.assert_batch_is_elementwise(cautious.combine, sources)


def test_batches_broadcast_and_the_base_rate_is_the_first_sources():
    many, one = opinion(Evidence(torch.rand(2, 4, 3), 3.0)), opinion(Evidence(torch.rand(3), 3.0))
    fused = cautious.combine([many, one])
    assert (fused.belief.shape, fused.uncertainty.shape) == ((2, 4, 3), (2, 4))
    assert fused.base_rate is many.base_rate
    theorem.assert_passes_the_check(cautious.combine([one, many]))


def test_hypotheses_stay_outermost_in_memory():
    def outermost(values: torch.Tensor) -> torch.Tensor:
        return values.T.contiguous().T

    values = 100 * torch.rand(3, 5, 3)
    turned = torch.stack([outermost(source).T for source in values]).mT
    found = cautious.RULE.fuse(Evidence(turned, 3.0)).values
    assert found.T.is_contiguous()
    torch.testing.assert_close(found, cautious.RULE.fuse(Evidence(values, 3.0)).values)


def test_inputs_are_kept():
    sources = [opinion(Evidence(100 * torch.rand(4, 3), 3.0)) for _ in range(2)]
    kept = [(o.belief.clone(), o.uncertainty.clone()) for o in sources]
    cautious.RULE.fold(sources)
    assert all(
        torch.equal(o.belief, b) and torch.equal(o.uncertainty, u)
        for o, (b, u) in zip(sources, kept, strict=True)
    )


HALF = torch.tensor([0.5, 0.5], dtype=torch.float64)
DOUBTFUL = Opinion(torch.tensor([0.5, 0.0], dtype=torch.float64), HALF[0], HALF)
SURE = Opinion(torch.tensor([0.25, 0.75], dtype=torch.float64), 0 * HALF[0], HALF)


def test_a_dogmatic_source_is_refused_by_name():
    match = r"opinions\[1\].uncertainty must be positive; found 0. The cautious rule compares evid"
    with pytest.raises(RangeError, match=match):
        cautious.combine([DOUBTFUL, SURE, SURE])


def test_a_dogmatic_row_is_refused_with_its_index():
    belief = torch.tensor([[0.5, 0.0], [0.25, 0.75]])
    batch = Opinion(belief, torch.tensor([0.5, 0.0]), HALF)
    with pytest.raises(
        RangeError, match=r"opinions\[0\].uncertainty must be positive; found 0 at index \[1\]"
    ):
        cautious.combine([batch])


def test_without_the_check_one_dogmatic_source_outweighs_all_others_and_two_give_nan():
    for order in ([DOUBTFUL, SURE, DOUBTFUL], [SURE, DOUBTFUL]):
        theorem.assert_same_opinion(cautious.RULE.fold(order), SURE, 0)
    found = cautious.RULE.fold([SURE, SURE])
    assert bool(found.belief.isnan().all() & found.uncertainty.isnan())


def test_nothing_to_combine_is_refused():
    with pytest.raises(
        RangeError, match=r"opinions must hold at least one source; found 0. Start from the vac"
    ):
        cautious.combine([])


@pytest.mark.parametrize(
    ("other", "error", "match"),
    [
        (Opinion.vacuous(torch.ones(3).double()), ShapeError, r"opinions must share one frame on their last"),
        (Opinion.vacuous(torch.ones(2).float()), DtypeError, r"opinions must have one dtype"),
    ],
    ids=["frame", "dtype"],
)
def test_sources_that_do_not_fit_are_refused(other, error, match):
    with pytest.raises(error, match=match):
        cautious.combine([DOUBTFUL, other])
