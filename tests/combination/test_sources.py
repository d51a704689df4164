import pytest
import torch

from bogc.belief import MassFunction, Opinion
from bogc.combination import FOLDS, cumulative, dempster, reduced
from bogc.combination.sources import check_opinions, check_same_axis, check_sources
from bogc.errors import DtypeError, RangeError, ShapeError


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


@pytest.mark.parametrize("rule", [reduced.combine, cumulative.combine])
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


@pytest.mark.parametrize("fold", FOLDS.values())
def test_every_fold_keeps_the_first_base_rate(fold):
    rates = torch.tensor([[0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)
    one = vacuous(2)
    sources = [Opinion(one.belief, one.uncertainty, rate) for rate in rates]
    assert torch.equal(fold(sources).base_rate, rates[0])


@pytest.mark.parametrize(
    ("name", "rule"), [("dempster", reduced.combine), ("cumulative", cumulative.combine)]
)
def test_every_fold_is_its_rule_without_the_checks(name, rule):
    generator = torch.Generator().manual_seed(1)
    shares = torch.rand(3, 4, generator=generator, dtype=torch.float64)
    shares = shares / shares.sum(-1, keepdim=True)
    sources = [Opinion(s[:3], s[3], torch.full((3,), 1 / 3, dtype=torch.float64)) for s in shares]
    assert torch.equal(FOLDS[name](sources).belief, rule(sources).belief)
    assert torch.equal(FOLDS[name](sources).uncertainty, rule(sources).uncertainty)
