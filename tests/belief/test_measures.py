import pytest
import torch
from hypothesis import given
from scipy import stats

from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion, measures
from bogc.errors import RangeError
from tests.oracles import dempster
from tests.properties.strategies import (
    SHARP,
    dirichlets,
    mass_lists,
    opinion_lists,
    opinions,
    sharp_opinion_lists,
)

MASSES = mass_lists(1, 1, SHARP).map(lambda drawn: drawn[0])


def subsets(mass: MassFunction) -> list[frozenset[int]]:
    return [dempster.members(index) for index in range(2**mass.hypotheses)]


def slow(mass: MassFunction, counts) -> torch.Tensor:
    """Sum m(B) over the B that count for each A."""
    focal = dempster.from_tensor(mass.values, float)
    return torch.tensor([sum(v for b, v in focal.items() if counts(a, b)) for a in subsets(mass)])


DEFINITIONS = [
    (measures.belief, lambda a, b: b and b <= a),
    (measures.plausibility, lambda a, b: bool(a & b)),
    (measures.commonality, lambda a, b: b >= a),
]


@pytest.mark.parametrize(("measure", "counts"), DEFINITIONS)
@given(mass=MASSES)
def test_measures_are_their_definitions(measure, counts, mass):
    torch.testing.assert_close(measure(mass), slow(mass, counts), rtol=0, atol=1e-14)


@given(MASSES)
def test_pignistic_probability_shares_each_mass_equally(mass):
    focal = dempster.from_tensor(mass.values, float)
    expected = [sum(v / len(b) for b, v in focal.items() if k in b) for k in range(mass.hypotheses)]
    torch.testing.assert_close(measures.pignistic_probability(mass), torch.tensor(expected))


@given(MASSES)
def test_pignistic_probability_lies_between_belief_and_plausibility(mass):
    singletons = [2**k for k in range(mass.hypotheses)]
    found = measures.pignistic_probability(mass)
    assert bool((measures.belief(mass)[singletons] <= found + 1e-14).all())
    assert bool((found <= measures.plausibility(mass)[singletons] + 1e-14).all())
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))


@given(opinions())
def test_projected_probability_is_pignistic_where_base_rates_are_uniform(opinion):
    uniform = torch.full_like(opinion.base_rate, 1 / len(opinion.base_rate))
    same = Opinion(opinion.belief, opinion.uncertainty, uniform)
    found = measures.pignistic_probability(MassFunction.from_opinion(opinion))
    torch.testing.assert_close(found, measures.projected_probability(same))


@given(dirichlets())
def test_projected_probability_is_the_dirichlet_mean(dirichlet):
    found = measures.projected_probability(Opinion.from_dirichlet(dirichlet))
    torch.testing.assert_close(found, dirichlet.mean)


@given(opinion_lists() | sharp_opinion_lists())
def test_conflict_is_the_mass_of_the_empty_set(sources):
    focal = [dempster.from_opinion(o.belief.tolist(), float(o.uncertainty)) for o in sources]
    _, expected = dempster.combine(focal)
    assert measures.conflict(sources).item() == pytest.approx(expected, abs=1e-13)


@given(opinions())
def test_one_source_has_no_conflict(opinion):
    assert measures.conflict([opinion]).item() == pytest.approx(0, abs=1e-14)


@given(dirichlets())
def test_dirichlet_entropy_is_scipys(dirichlet):
    expected = stats.dirichlet(dirichlet.concentration.numpy()).entropy()
    assert measures.dirichlet_entropy(dirichlet).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(dirichlets())
def test_dirichlet_entropy_is_pyros(dirichlet):
    torch.testing.assert_close(measures.dirichlet_entropy(dirichlet), dirichlet.to_pyro().entropy())


def test_dirichlet_entropy_is_zero_for_the_uniform_and_unbounded_below():
    evidence = Evidence(torch.tensor([[0.0, 0.0], [1e3, 1e3], [1e12, 1e12]]), 2.0)
    uniform, more, most = measures.dirichlet_entropy(DirichletBelief.from_evidence(evidence)).tolist()
    assert uniform == pytest.approx(0, abs=1e-12)
    assert most < more - 10 < -10


def test_measures_work_on_batches(device):
    values = torch.rand(2, 3, 8, device=device)
    values[..., 0] = 0
    mass = MassFunction(values / values.sum(-1, keepdim=True))
    for measure in (
        measures.belief,
        measures.plausibility,
        measures.commonality,
        measures.pignistic_probability,
    ):
        found = measure(mass)
        assert found.device == values.device
        torch.testing.assert_close(found[1, 2], measure(MassFunction(mass.values[1, 2])))


def test_conflict_needs_a_source():
    with pytest.raises(RangeError, match="opinions must hold at least one source; found 0"):
        measures.conflict([])
