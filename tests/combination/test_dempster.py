from fractions import Fraction

import evtools.combinations
import numpy as np
import pytest
import torch
import torchbelief
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief import MassFunction, Opinion
from bogc.belief.measures import commonality
from bogc.combination import dempster, reduced
from bogc.errors import RangeError, TotalConflictError
from tests.oracles import dempster as oracle
from tests.properties.strategies import SHARP, mass_lists

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def combine(masses):
    return dempster.combine(masses).values


def exact(masses: list[MassFunction]) -> torch.Tensor:
    fused, _ = oracle.combine([oracle.from_tensor(mass.values, Fraction) for mass in masses])
    return torch.tensor(oracle.to_list(fused, masses[0].hypotheses), dtype=torch.float64)


def random_masses(sources: int, hypotheses: int, focal: int, seed: int = 0) -> list[MassFunction]:
    """Each source puts positive shares of 1 on ``focal`` random subsets and on the frame."""
    generator = torch.Generator().manual_seed(seed)
    masses = []
    for _ in range(sources):
        values = torch.zeros(2**hypotheses)
        chosen = 1 + torch.randperm(2**hypotheses - 1, generator=generator)[:focal]
        values[chosen] = torch.rand(len(chosen), generator=generator)
        values[-1] += 0.1
        masses.append(MassFunction(values / values.sum()))
    return masses


def mostly_on(subset: int, rest: float, hypotheses: int, dtype: torch.dtype) -> MassFunction:
    values = torch.zeros(2**hypotheses, dtype=dtype)
    values[subset], values[-1] = 1 - rest, rest
    return MassFunction(values)


@given(mass_lists() | mass_lists(rest=SHARP))
def test_combine_is_the_rule_by_pairs_of_subsets(masses):
    torch.testing.assert_close(combine(masses), exact(masses), rtol=0, atol=1e-14)


@given(mass_lists() | mass_lists(rest=SHARP))
def test_conjunction_leaves_the_conflict_on_the_empty_set(masses):
    _, conflict = oracle.combine([oracle.from_tensor(mass.values, float) for mass in masses])
    joint = dempster.conjunction(masses)
    assert joint[0].item() == pytest.approx(conflict, abs=1e-14)
    assert joint.sum().item() == pytest.approx(1)


@given(mass_lists() | mass_lists(rest=SHARP))
def test_commonalities_multiply(masses):
    product = torch.stack([commonality(mass) for mass in masses]).prod(0)
    joint = MassFunction.unchecked(values=dempster.conjunction(masses))
    torch.testing.assert_close(commonality(joint), product, rtol=0, atol=1e-14)


@given(mass_lists() | mass_lists(rest=SHARP))
def test_combine_is_commutative(masses):
    torch.testing.assert_close(combine(masses[::-1]), combine(masses), rtol=0, atol=1e-14)


@given(mass_lists(3, 3))
def test_combine_is_associative(masses):
    first, second, third = masses
    left = dempster.combine([dempster.combine([first, second]), third])
    right = dempster.combine([first, dempster.combine([second, third])])
    torch.testing.assert_close(left.values, right.values, rtol=0, atol=1e-13)
    torch.testing.assert_close(left.values, combine(masses), rtol=0, atol=1e-13)


@given(mass_lists(1, 1))
def test_the_vacuous_mass_function_is_neutral(masses):
    vacuous = torch.zeros_like(masses[0].values)
    vacuous[-1] = 1
    found = combine([masses[0], MassFunction(vacuous)])
    torch.testing.assert_close(found, masses[0].values, rtol=0, atol=1e-14)


@given(mass_lists(2, 2))
def test_combine_agrees_with_torchbelief(masses):
    frame = torchbelief.Frame(masses[0].hypotheses)
    expected, _ = torchbelief.dempster(masses[0].values, masses[1].values, frame)
    torch.testing.assert_close(combine(masses), expected, rtol=0, atol=1e-12)


@given(mass_lists(2, 2))
def test_combine_agrees_with_evtools(masses):
    names = [str(k) for k in range(masses[0].hypotheses)]
    first, second = (evtools.DSVector.from_dense(names, mass.values.numpy()) for mass in masses)
    expected = torch.from_numpy(np.asarray(evtools.combinations.dempster(first, second).dense))
    torch.testing.assert_close(combine(masses), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sources", "hypotheses"), [(1, 2), (5, 3), (4, 8), (3, 12), (6, 12), (3, 16)])
def test_any_number_of_sources_on_up_to_sixteen_hypotheses(sources, hypotheses):
    masses = random_masses(sources, hypotheses, focal=3)
    torch.testing.assert_close(combine(masses), exact(masses), rtol=0, atol=1e-14)


def test_dense_masses_on_twelve_hypotheses_agree_with_torchbelief():
    masses = random_masses(3, 12, focal=4095)
    frame = torchbelief.Frame(12)
    expected, _ = torchbelief.combine([mass.values for mass in masses], frame, "dempster")
    torch.testing.assert_close(combine(masses), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 100), hypotheses=st.integers(2, 7))
def test_every_dtype_is_right_to_its_rounding(dtype, seed, hypotheses):
    masses = [
        MassFunction(mass.values.to(dtype)) for mass in random_masses(3, hypotheses, focal=4, seed=seed)
    ]
    found = dempster.combine(masses).values
    assert found.dtype == dtype
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), exact(masses), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hypotheses", [2, 8, 12])
@pytest.mark.parametrize("rest", [2**-8, 2**-20, 2**-60])
def test_near_total_conflict_costs_no_accuracy(dtype, hypotheses, rest):
    """1 - C is a sum of what is left, never 1 minus C, so it may be far below eps."""
    masses = [mostly_on(1 << k, rest, hypotheses, dtype) for k in range(2)]
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(combine(masses).double(), exact(masses), rtol=0, atol=tolerance)


def exact_of_many(masses: list[MassFunction]) -> torch.Tensor:
    """In float64, whose commonalities reach down to 1e-308."""
    wide = (mass.values.double() for mass in masses)
    return combine([MassFunction(values / values.sum()) for values in wide])


@pytest.mark.parametrize(("sources", "hypotheses", "focal"), [(600, 3, 7), (1000, 4, 3), (80, 16, 2**15)])
def test_many_sources_in_float32_are_those_in_float64(sources, hypotheses, focal):
    """Products of hundreds of commonalities, and of 80 on 16 hypotheses, are below the least float."""
    masses = [MassFunction(m.values.float()) for m in random_masses(sources, hypotheses, focal)]
    found = combine(masses)
    torch.testing.assert_close(found.double(), exact_of_many(masses), rtol=0, atol=sources * 1e-7)
    assert found.sum().item() == pytest.approx(1, abs=1e-5)


def test_a_thousand_sources_are_the_reduced_rule_where_all_are_opinions():
    """Half of them for one hypothesis and half for another, in turn: u = .05 each, 20**-1000 together."""
    rate = torch.full((3,), 1 / 3, dtype=torch.float32)
    shares = torch.tensor([[0.6, 0.3, 0.05, 0.05], [0.3, 0.6, 0.05, 0.05]], dtype=torch.float32)
    opinions = [Opinion(row[:3], row[3], rate) for row in shares] * 500
    found = dempster.combine([MassFunction.from_opinion(o) for o in opinions]).to_opinion()
    assert found.belief.tolist() == pytest.approx([0.5, 0.5, 0], abs=1e-4)
    assert reduced.combine(opinions).belief.tolist() == pytest.approx([0.5, 0.5, 0], abs=1e-4)


@pytest.mark.parametrize("count", [2, 50])
def test_total_conflict_is_found_among_any_number_of_sources(count):
    doubtful = torch.tensor([0, 0.25, 0.25, 0.5], dtype=torch.float32)
    sure = [torch.tensor(v, dtype=torch.float32) for v in ([0.0, 1, 0, 0], [0.0, 0, 1, 0])]
    with pytest.raises(TotalConflictError, match=r"masses must share a possible subset"):
        dempster.combine([MassFunction(v) for v in (*[doubtful] * count, *sure)])


def test_a_batch_is_combined_row_by_row_and_broadcasts(device):
    first = torch.rand(2, 3, 8, device=device)
    second = torch.rand(3, 8, device=device)
    first[..., 0], second[..., 0] = 0, 0
    masses = [MassFunction(v / v.sum(-1, keepdim=True)) for v in (first, second)]
    fused = combine(masses)
    assert (fused.shape, fused.device) == ((2, 3, 8), first.device)
    for row in range(3):
        alone = [MassFunction(masses[0].values[1, row]), MassFunction(masses[1].values[row])]
        torch.testing.assert_close(fused[1, row], combine(alone))


@pytest.mark.parametrize("dtype", DTYPES)
def test_total_conflict_names_the_first_index(dtype):
    first = torch.tensor([0, 0.5, 0, 0.5], dtype=dtype).repeat(2, 3, 1)
    first[1, 1:] = torch.tensor([0, 1, 0, 0], dtype=dtype)
    second = torch.tensor([0, 0, 1, 0], dtype=dtype)
    match = r"masses must share a possible subset \(1 - C > 0\); found 0 at index \[1, 1\]. Dempster's rule"
    with pytest.raises(TotalConflictError, match=match):
        dempster.combine([MassFunction(first), MassFunction(second)])


@pytest.mark.parametrize("rule", [dempster.combine, dempster.conjunction])
def test_nothing_to_combine_is_refused(rule):
    with pytest.raises(
        RangeError, match=r"masses must hold at least one source; found 0. Start from the vac"
    ):
        rule([])


def test_inputs_are_kept():
    masses = random_masses(2, 3, focal=4)
    kept = [mass.values.clone() for mass in masses]
    dempster.combine(masses)
    assert all(torch.equal(mass.values, before) for mass, before in zip(masses, kept, strict=True))
