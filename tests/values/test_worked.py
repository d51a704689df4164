import pytest
import torch

from bogc.belief import DirichletBelief, Evidence, Opinion
from bogc.belief.measures import conflict
from bogc.combination import dempster, reduced
from tests.oracles import dempster as oracle
from tests.properties.combination import masses
from tests.values.worked import WORKED, ZADEH, Worked


def sources(worked: Worked) -> list[Evidence]:
    return [Evidence(torch.tensor(v, dtype=torch.float64), len(v)) for v in (worked.first, worked.second)]


def opinions(worked: Worked) -> list[Opinion]:
    return [Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence)) for evidence in sources(worked)]


def assert_worked(opinion: Opinion, worked: Worked) -> None:
    evidence = opinion.to_dirichlet(len(worked.first)).to_evidence().values
    assert evidence.tolist() == pytest.approx(worked.evidence, abs=5e-5)
    if worked.belief is not None:
        assert opinion.belief.tolist() == pytest.approx(worked.belief, abs=5e-7)
        assert opinion.uncertainty.item() == pytest.approx(worked.uncertainty, abs=5e-8)


ALL = pytest.mark.parametrize("worked", WORKED.values(), ids=WORKED)


@ALL
def test_the_reduced_rule_gives_the_worked_values(worked):
    assert_worked(reduced.combine(opinions(worked)), worked)


@ALL
def test_the_full_rule_gives_the_worked_values(worked):
    assert_worked(dempster.combine(masses(opinions(worked))).to_opinion(), worked)


@ALL
def test_the_product_of_evidence_gives_the_worked_values(worked):
    found = reduced.combine_evidence(sources(worked)).values.tolist()
    assert found == pytest.approx(worked.evidence, abs=5e-5)


@ALL
def test_the_oracle_gives_the_worked_values(worked):
    focal = [oracle.from_evidence(v, len(v)) for v in (worked.first, worked.second)]
    fused, conflict = oracle.combine(focal)
    uncertainty = fused[frozenset(range(len(worked.first)))]
    evidence = [len(worked.first) * fused[frozenset([k])] / uncertainty for k in range(len(worked.first))]
    assert evidence == pytest.approx(worked.evidence, abs=5e-5)
    assert conflict == pytest.approx(worked.conflict, abs=5e-7)


@ALL
def test_conflict_is_as_worked(worked):
    assert conflict(opinions(worked)).item() == pytest.approx(worked.conflict, abs=5e-7)


def test_zadehs_example_makes_the_unlikely_certain():
    first, second, expected_conflict, expected = ZADEH
    rate, zero = torch.full((3,), 1 / 3), torch.tensor(0.0)
    doctors = [Opinion(torch.tensor(belief), zero, rate) for belief in (first, second)]
    assert conflict(doctors).item() == pytest.approx(expected_conflict)
    fused = reduced.combine(doctors)
    assert fused.belief.tolist() == pytest.approx(expected)
    assert fused.uncertainty.item() == 0
    full = dempster.combine(masses(doctors)).values.tolist()
    assert full == pytest.approx([0, 0, 0, 0, 1, 0, 0, 0])
