import math
from fractions import Fraction
from itertools import permutations

import pytest
import torch
from hypothesis import given

from bogc.belief import MOST_EVIDENCE, Evidence, MassFunction, Opinion
from bogc.combination import RULES, Rule, cautious, cumulative, dempster, reduced, together
from bogc.combination.sources import check_opinions, check_same_axis, check_sources
from bogc.errors import DtypeError, RangeError, ShapeError
from tests.properties import combination as theorem
from tests.properties.strategies import evidence_lists


def vacuous(*shape: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Opinion:
    return Opinion.vacuous(torch.zeros(*shape, dtype=dtype, device=device))


def test_opinions_that_broadcast_on_one_frame_pass():
    check_opinions([vacuous(2, 3, 4), vacuous(3, 4), vacuous(4)])


MISFITS = [
    (
        [vacuous(2), vacuous(3)],
        ShapeError,
        r"must share one frame on their last axis; found \[2, 3\]. Refine",
    ),
    (
        [vacuous(2, 3), vacuous(4, 3)],
        ShapeError,
        r"must have shapes that broadcast; found \[2, 3\], \[4, 3\]. Al",
    ),
    (
        [vacuous(2), vacuous(2, dtype=torch.float32)],
        DtypeError,
        r"must have one dtype; found \['torch.float32'",
    ),
]


@pytest.mark.parametrize("rule", [reduced.combine, cumulative.combine, cautious.combine])
@pytest.mark.parametrize(("opinions", "error", "match"), MISFITS)
def test_opinions_that_do_not_fit_are_refused(rule, opinions, error, match):
    with pytest.raises(error, match=f"opinions {match}"):
        rule(opinions)


@pytest.mark.parametrize(("opinions", "error", "match"), MISFITS)
def test_mass_functions_that_do_not_fit_are_refused(opinions, error, match):
    masses = [MassFunction.from_opinion(opinion) for opinion in opinions]
    found = match.replace(r"\[2, 3\].", r"\[4, 8\].").replace(r"\[2, 3\], \[4, 3\]", r"\[2, 8\], \[4, 8\]")
    with pytest.raises(error, match=f"masses {found}"):
        dempster.combine(masses)


def test_no_source_is_refused():
    with pytest.raises(
        RangeError, match=r"things must hold at least one source; found 0. Start from the vac"
    ):
        check_sources("things", [])


def test_the_last_axis_is_compared_before_the_others():
    with pytest.raises(
        ShapeError, match=r"things must share one frame on their last axis; found \[2, 4\]. Ref"
    ):
        check_same_axis("things", [torch.zeros(3, 2), torch.zeros(5, 4)])


COMBINE = {"dempster": reduced.combine, "cumulative": cumulative.combine, "cautious": cautious.combine}
EVERY_RULE = pytest.mark.parametrize("name", COMBINE)


def opinion(evidence: Evidence) -> Opinion:
    return Opinion.from_evidence(evidence)


def uncounted(opinion: Opinion) -> Opinion:
    """The same without the evidence that it was made from."""
    return Opinion.unchecked(**{**vars(opinion), "counted": None})


def stacked(evidences: list[Evidence]) -> Evidence:
    return Evidence(torch.stack([e.values for e in evidences]), evidences[0].prior_weight)


def test_the_rules_are_registered_by_name():
    assert {name: RULES[name] for name in COMBINE} == {
        "dempster": reduced.RULE,
        "cumulative": cumulative.RULE,
        "cautious": cautious.RULE,
    }


@EVERY_RULE
@given(evidences=evidence_lists())
def test_stacked_evidence_listed_opinions_and_bare_opinions_are_fused_alike(name, evidences):
    """fuse, combine by evidence (bit for bit the same), combine by belief and uncertainty.

    Three sources at most: of more of them, combine takes opinions where fuse has to cut evidence.
    """
    evidences = evidences[:3]
    opinions = [opinion(evidence) for evidence in evidences]
    fused = opinion(RULES[name].fuse(stacked(evidences)))
    listed = COMBINE[name](opinions)
    assert torch.equal(listed.belief, fused.belief)
    assert torch.equal(listed.uncertainty, fused.uncertainty)
    theorem.assert_same_opinion(COMBINE[name]([uncounted(o) for o in opinions]), fused, 1e-11)


@given(evidence_lists())
def test_stacked_evidence_by_dempsters_rule_is_the_full_rule_on_masses(evidences):
    masses = [MassFunction.from_opinion(opinion(evidence)) for evidence in evidences]
    found = opinion(RULES["dempster"].fuse(stacked(evidences)))
    theorem.assert_same_opinion(found, dempster.combine(masses).to_opinion(), 1e-11)


@EVERY_RULE
def test_sources_of_different_prior_weights_are_combined_as_opinions(name):
    """W is a unit of evidence: twice the evidence in twice W is the same opinion."""
    values = torch.tensor([3.0, 1.0])
    same = [opinion(Evidence(values, 2.0)), opinion(Evidence(values, 2.0))]
    other = [opinion(Evidence(values, 2.0)), opinion(Evidence(2 * values, 4.0))]
    theorem.assert_same_opinion(COMBINE[name](other), COMBINE[name](same))


def exact(name: str, evidences: list[Evidence]) -> torch.Tensor:
    """(b, u) in rational numbers, from the definition in evidence."""
    weight = Fraction(evidences[0].prior_weight)
    columns = zip(*([Fraction(v) / weight for v in e.values.tolist()] for e in evidences), strict=True)
    ratio = {
        "dempster": lambda column: math.prod(1 + e for e in column) - 1,
        "cumulative": sum,
        "cautious": max,
    }[name]
    fused = [ratio(column) for column in columns]
    total = sum(fused) + 1
    return torch.tensor([float(e / total) for e in (*fused, Fraction(1))], dtype=torch.float64)


def crowd(count: int, dtype: torch.dtype, opposed: bool) -> list[Evidence]:
    """Random evidence; or a first half that says one thing and a second half that says the other."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(count, 3, generator=generator).float()
    if opposed:
        values = torch.zeros(count, 3, dtype=torch.float32)
        values[: count // 2, 0], values[count // 2 :, 1] = 1, 1
        values[:, 2] = 1 / 4096
    return [Evidence(row.to(dtype), 2.0) for row in values]


@EVERY_RULE
@pytest.mark.parametrize(
    ("dtype", "opposed", "bare"),
    [(torch.float32, False, False), (torch.float32, True, True), (torch.float64, True, False)],
)
def test_a_thousand_sources_are_right_to_their_dtype(name, dtype, opposed, bare):
    evidences = crowd(1000, dtype, opposed)
    sources = [uncounted(opinion(e)) if bare else opinion(e) for e in evidences]
    found = COMBINE[name](sources)
    # each source of float32 has its own rounding, and the product of a thousand adds it up
    tolerance = 1000 * torch.finfo(dtype).eps
    values = torch.cat([found.belief, found.uncertainty.unsqueeze(-1)]).double()
    torch.testing.assert_close(values, exact(name, evidences), rtol=tolerance, atol=tolerance)


@EVERY_RULE
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("tiny", [2**-67, 2**-100])
@pytest.mark.parametrize("count", [3, 4])
def test_the_order_of_nearly_dogmatic_sources_that_contradict_each_other_does_not_matter(
    name, dtype, tiny, count
):
    """Three hypotheses, each sure of its own; a fourth source agrees with the first."""
    rate = torch.full((3,), 1 / 3, dtype=dtype)
    beliefs = torch.eye(3, dtype=dtype)[[0, 1, 2, 0][:count]]
    sources = [Opinion(b, torch.tensor(tiny, dtype=dtype), rate) for b in beliefs]
    expected = torch.tensor([1.0, 1.0, 1.0])
    expected[0] = {"dempster": 1 / tiny, "cumulative": 2.0, "cautious": 1.0}[name] if count == 4 else 1.0
    for order in permutations(sources):
        found = COMBINE[name](order).belief.double()
        tolerance = 8 * torch.finfo(dtype).eps
        torch.testing.assert_close(found, expected / expected.sum(), rtol=tolerance, atol=tolerance)


@EVERY_RULE
@pytest.mark.parametrize("count", [2, 3, 5])
def test_half_precision_neither_overflows_nor_loses_shares(name, count):
    """Evidence of 4e4 in float16, whose largest number is 6.5e4."""
    evidences = [Evidence(torch.tensor([4e4, 1e4, 0.0], dtype=torch.float16), 2.0) for _ in range(count)]
    fused = RULES[name].fuse(stacked(evidences))
    assert fused.values.dtype == torch.float16
    assert bool(fused.values.isfinite().all())
    for found in (opinion(fused), COMBINE[name]([opinion(e) for e in evidences])):
        assert found.belief.dtype == torch.float16
        expected = exact(name, evidences)
        torch.testing.assert_close(found.belief.double(), expected[:3], rtol=4e-3, atol=1e-3)
        assert found.uncertainty.item() <= 2e-4


@EVERY_RULE
@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_strongest_evidence_that_maps_count_stays_finite_in_float32(name, count):
    evidence = Evidence(torch.tensor([MOST_EVIDENCE, 1.0], dtype=torch.float32), 2.0)
    fused = RULES[name].fuse(stacked([evidence] * count))
    assert bool(fused.values.isfinite().all())
    found = COMBINE[name]([opinion(evidence)] * count)
    assert found.belief.tolist() == pytest.approx([1, 0])


@EVERY_RULE
@pytest.mark.parametrize("bare", [False, True])
def test_sources_are_kept(name, bare):
    evidences = [Evidence(100 * torch.rand(4, 3), 3.0) for _ in range(3)]
    sources = [uncounted(opinion(e)) if bare else opinion(e) for e in evidences]
    kept = [(o.belief.clone(), o.uncertainty.clone(), e.values.clone())
            for o, e in zip(sources, evidences, strict=True)]  # fmt: skip
    COMBINE[name](sources)
    RULES[name].fuse(stacked(evidences))
    for source, evidence, (belief, uncertainty, values) in zip(sources, evidences, kept, strict=True):
        assert torch.equal(source.belief, belief)
        assert torch.equal(source.uncertainty, uncertainty)
        assert torch.equal(evidence.values, values)


def test_a_rule_is_two_functions_and_registers_like_the_others():
    """From outside the package: the average, in evidence and in opinions of one unit."""

    def average(first, second, weight, unit):
        return (first + unit * second) / 2

    rule = Rule(average, lambda both, *each: together(lambda a, b: (a + b) / 2, *each))
    RULES.register("average")(rule)
    try:
        evidence = Evidence(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), 2.0)
        assert RULES["average"].fuse(evidence).values.tolist() == [1, 2]
        assert rule.fold([vacuous(2), vacuous(2)]).uncertainty.item() == 1
    finally:
        RULES.withdraw("average")
