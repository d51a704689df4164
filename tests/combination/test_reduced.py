from fractions import Fraction

import evtools.combinations
import pytest
import torch
import torchbelief
from hypothesis import given

from bogc.belief import DirichletBelief, Evidence, Opinion
from bogc.combination import dempster, reduced
from bogc.errors import ConfigError, NonFiniteError, RangeError, TotalConflictError
from tests.oracles import dempster as oracle
from tests.properties import combination as theorem
from tests.properties.strategies import evidence_lists, opinion_lists, opinions, sharp_opinion_lists

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def opinion(evidence: Evidence) -> Opinion:
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))


def stacked(opinions: list[Opinion]) -> torch.Tensor:
    return torch.cat([torch.cat([o.belief, o.uncertainty.unsqueeze(-1)], -1) for o in opinions])


def exact(opinions: list[Opinion]) -> torch.Tensor:
    """(b, u) of the full rule in rational numbers, on the very masses of the opinions."""
    focal = [
        oracle.from_opinion([Fraction(b) for b in o.belief.tolist()], Fraction(float(o.uncertainty)))
        for o in opinions
    ]
    fused, _ = oracle.combine(focal)
    size = opinions[0].belief.shape[-1]
    subsets = [frozenset([k]) for k in range(size)] + [frozenset(range(size))]
    return torch.tensor([float(fused[subset]) for subset in subsets], dtype=torch.float64)


def exact_from_evidence(evidences: list[Evidence]) -> torch.Tensor:
    weight = Fraction(evidences[0].prior_weight)
    focal = [oracle.from_evidence([Fraction(v) for v in e.values.tolist()], weight) for e in evidences]
    fused, _ = oracle.combine(focal)
    size = evidences[0].values.shape[-1]
    subsets = [frozenset([k]) for k in range(size)] + [frozenset(range(size))]
    return torch.tensor([float(fused[subset]) for subset in subsets], dtype=torch.float64)


def disagreeing(sources: int, hypotheses: int, strongest: float, weakest: float) -> list[Evidence]:
    """Float32 evidence of which source m has ``strongest`` for hypothesis m, and others something below."""
    generator = torch.Generator().manual_seed(sources * hypotheses)
    evidences = []
    for source in range(sources):
        exponents = torch.rand(hypotheses, generator=generator, dtype=torch.float64) * 2
        values = weakest * 10**exponents
        values[source % hypotheses] = strongest
        evidences.append(Evidence(values.float(), float(hypotheses)))
    return evidences


@given(opinion_lists() | sharp_opinion_lists())
def test_combine_equals_the_full_rule_on_the_same_masses(opinions):
    full = dempster.combine(theorem.masses(opinions)).to_opinion()
    theorem.assert_same_opinion(reduced.combine(opinions), full)


@given(opinion_lists(amounts=1e6) | sharp_opinion_lists())
def test_combine_is_exact_to_float64(opinions):
    torch.testing.assert_close(stacked([reduced.combine(opinions)]), exact(opinions), rtol=1e-14, atol=0)


@given(opinion_lists(most=4) | sharp_opinion_lists(most=4))
def test_combine_is_commutative(opinions):
    theorem.assert_commutative(reduced.combine, opinions)


@given(opinion_lists())
def test_combine_is_associative(opinions):
    theorem.assert_associative(reduced.combine, opinions)


@given(opinions())
def test_the_vacuous_opinion_is_neutral(opinion):
    theorem.assert_vacuous_neutral(reduced.combine, opinion)


@given(opinion_lists(amounts=1e6) | sharp_opinion_lists())
def test_uncertainty_never_grows_even_under_conflict(opinions):
    theorem.assert_uncertainty_never_grows(reduced.combine, opinions)


@given(opinion_lists() | sharp_opinion_lists())
def test_fused_opinions_pass_the_check(opinions):
    theorem.assert_passes_the_check(reduced.combine(opinions))


@given(evidence_lists())
def test_evidence_over_w_plus_one_multiplies_for_any_prior_weight(evidences):
    weight = evidences[0].prior_weight
    product = torch.stack([1 + e.values / weight for e in evidences]).prod(0)
    torch.testing.assert_close(1 + reduced.combine_evidence(evidences).values / weight, product)
    fused = reduced.combine([opinion(e) for e in evidences]).to_dirichlet(weight).to_evidence()
    torch.testing.assert_close(1 + fused.values / weight, product, rtol=1e-10, atol=1e-10)


@given(evidence_lists())
def test_the_product_form_needs_no_particular_base_rate(evidences):
    """Belief and uncertainty do not depend on the base rate, so the product form does not."""
    weight, size = evidences[0].prior_weight, evidences[0].values.shape[-1]
    rate = torch.arange(1.0, size + 1) / sum(range(1, size + 1))
    skewed = [Opinion.from_dirichlet(DirichletBelief.from_evidence(e, rate)) for e in evidences]
    expected = reduced.combine([opinion(e) for e in evidences])
    torch.testing.assert_close(stacked([reduced.combine(skewed)]), stacked([expected]), rtol=1e-9, atol=1e-12)
    assert weight > 0


@given(evidence_lists())
def test_combine_evidence_equals_combine_on_its_opinions(evidences):
    found = opinion(reduced.combine_evidence(evidences))
    theorem.assert_same_opinion(found, reduced.combine([opinion(e) for e in evidences]))


@given(evidence_lists())
def test_combine_agrees_with_torchbelief_on_dirichlets(evidences):
    """Its ``from_dirichlet`` fixes W = K and a uniform base rate: alpha = 1 + e."""
    size = evidences[0].values.shape[-1]
    frame = torchbelief.Frame(size)
    masses = [torchbelief.mass.from_dirichlet(frame, 1 + e.values) for e in evidences]
    expected, _ = torchbelief.combine(masses, frame, "dempster")
    fused = reduced.combine([opinion(Evidence(e.values, float(size))) for e in evidences])
    torch.testing.assert_close(theorem.masses([fused])[0].values, expected, rtol=0, atol=1e-9)


@given(opinion_lists(most=3))
def test_combine_agrees_with_evtools(opinions):
    names = [str(k) for k in range(opinions[0].belief.shape[-1])]
    vectors = [evtools.DSVector.from_dense(names, m.values.numpy()) for m in theorem.masses(opinions)]
    expected = vectors[0]
    for vector in vectors[1:]:
        expected = evtools.combinations.dempster(expected, vector)
    found = theorem.masses([reduced.combine(opinions)])[0].values
    torch.testing.assert_close(found, torch.from_numpy(expected.dense), rtol=0, atol=1e-9)


@pytest.mark.parametrize("hypotheses", [2, 3, 6])
@pytest.mark.parametrize("sources", [2, 3, 5])
def test_float32_keeps_five_digits_under_near_total_conflict(sources, hypotheses):
    evidences = disagreeing(sources, hypotheses, strongest=1e6, weakest=1.0)
    found = stacked([reduced.combine([opinion(e) for e in evidences])])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact_from_evidence(evidences), rtol=1e-5, atol=0)


@pytest.mark.parametrize("strongest", [1e6, 1e12])
@pytest.mark.parametrize("weakest", [1e-6, 1.0])
def test_combine_evidence_in_float32_keeps_five_digits_of_each_size(strongest, weakest):
    evidences = disagreeing(2, 3, strongest, weakest)
    found = reduced.combine_evidence(evidences).values
    shares = exact_from_evidence(evidences)
    expected = shares[:-1] / shares[-1] * evidences[0].prior_weight
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_right_to_its_rounding(dtype):
    shares = torch.rand(3, 5).to(dtype).double()
    sources = [Opinion(s[:4].to(dtype), s[4].to(dtype), torch.full((4,), 0.25, dtype=dtype))
               for s in (shares / shares.sum(-1, keepdim=True))]  # fmt: skip
    found = stacked([reduced.combine(sources)])
    assert found.dtype == dtype
    tolerance = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), exact(sources), rtol=tolerance, atol=0)


def test_a_batch_is_combined_row_by_row(device):
    sources = [opinion(Evidence(100 * torch.rand(4, 3, device=device), 3.0)) for _ in range(3)]
    theorem.assert_batch_is_elementwise(reduced.combine, sources)
    assert reduced.combine(sources).belief.device == sources[0].belief.device


HALF = torch.tensor([0.5, 0.5], dtype=torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_total_conflict_names_the_first_index(dtype):
    belief = torch.tensor([0.5, 0.0], dtype=dtype).repeat(2, 3, 1)
    uncertainty = torch.full((2, 3), 0.5, dtype=dtype)
    belief[1, 1], uncertainty[1, 1] = torch.tensor([1.0, 0.0]), 0
    rest = torch.tensor([0.0, 1.0], dtype=dtype)
    sources = [Opinion(belief, uncertainty, HALF.to(dtype)), Opinion(rest, rest[0], HALF.to(dtype))]
    match = (
        r"opinions must share a possible hypothesis; found nan at index \[1, 1\]. Dempster's rule is undef"
    )
    with pytest.raises(TotalConflictError, match=match):
        reduced.combine(sources)


def test_dogmatic_sources_that_share_a_hypothesis_are_no_total_conflict():
    zero = torch.tensor(0.0)
    sources = [
        Opinion(torch.tensor(b), zero, torch.full((3,), 1 / 3)) for b in ([0.5, 0.5, 0.0], [0, 0.5, 0.5])
    ]
    assert reduced.combine(sources).belief.tolist() == [0, 1, 0]


def test_combine_evidence_refuses_two_units():
    match = r"prior_weight must be the same for all sources; found \[2.0, 3.0\]. Convert to opinions"
    with pytest.raises(ConfigError, match=match):
        reduced.combine_evidence([Evidence(torch.ones(2), 2.0), Evidence(torch.ones(2), 3.0)])


def test_combine_evidence_says_when_it_overflows():
    evidence = Evidence(torch.tensor([1e30, 1.0], dtype=torch.float32), 2.0)
    match = (
        r"fused evidence must be finite; found inf at index \[0\]. It overflows: use float64, or combine op"
    )
    with pytest.raises(NonFiniteError, match=match):
        reduced.combine_evidence([evidence, evidence])
    assert reduced.combine([opinion(evidence), opinion(evidence)]).belief[0].item() == 1


@pytest.mark.parametrize(
    ("rule", "name"), [(reduced.combine, "opinions"), (reduced.combine_evidence, "evidences")]
)
def test_nothing_to_combine_is_refused(rule, name):
    with pytest.raises(
        RangeError, match=f"{name} must hold at least one source; found 0. Start from the vac"
    ):
        rule([])
