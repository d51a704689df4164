import pytest
import torch
from hypothesis import given

from bogc.belief import MassFunction, Opinion
from bogc.errors import FrameError, MassSumError, NonFiniteError, RangeError, ShapeError
from tests.oracles import dempster
from tests.properties.strategies import opinions, sharp_opinion_lists

ANY = opinions() | sharp_opinion_lists().map(lambda drawn: drawn[0])


def assert_survives_opinion(mass: MassFunction) -> None:
    assert torch.equal(MassFunction.from_opinion(mass.to_opinion()).values, mass.values)


@given(ANY)
def test_opinion_and_back_is_the_identity(opinion):
    assert_survives_opinion(MassFunction.from_opinion(opinion))


@given(ANY)
def test_belief_lies_on_singletons_and_uncertainty_on_the_frame(opinion):
    found = dempster.from_tensor(MassFunction.from_opinion(opinion).values, float)
    expected = dempster.from_opinion(opinion.belief.tolist(), float(opinion.uncertainty))
    assert found == {subset: value for subset, value in expected.items() if value}


@pytest.mark.parametrize("hypotheses", [2, 3, 12])
def test_the_number_of_hypotheses_is_read_off_the_axis(hypotheses):
    assert MassFunction.from_opinion(Opinion.vacuous(torch.zeros(2, hypotheses))).hypotheses == hypotheses


def test_mass_on_other_subsets_is_no_opinion():
    mass = MassFunction(torch.tensor([0, 0.2, 0.2, 0.3, 0, 0, 0, 0.3]))
    with pytest.raises(
        MassSumError, match=r"mass on singletons and frame must sum to 1; found 0.7. An opinion"
    ):
        mass.to_opinion()


NAN = float("nan")
INVALID = [
    ([0.0, 0.5, 0.2, 0.2], MassSumError, "mass must sum to 1; found 0.9. Divide"),
    ([0.1, 0.5, 0.2, 0.2], MassSumError, "mass of the empty set must be 0; found 0.1. Normalise"),
    ([0.0, -0.5, 1.0, 0.5], RangeError, r"mass must not be negative; found -0.5 at index \[1\]. Masses"),
    ([0.0, NAN, 0.5, 0.5], NonFiniteError, r"mass must be finite; found nan at index \[1\]. Look"),
    ([0.0, 0.5, 0.5], ShapeError, r"mass must have 2\*\*K entries on its last axis, K >= 2; found 3. Index"),
    ([0.0, 1.0], FrameError, r"mass must have 2\*\*K entries on its last axis, K >= 2; found 2. Index"),
    ([1.0], FrameError, r"mass must have 2\*\*K entries on its last axis, K >= 2; found 1. Index"),
]


@pytest.mark.parametrize(("values", "error", "match"), INVALID)
def test_values_that_are_no_mass_function_are_refused(values, error, match):
    with pytest.raises(error, match=match):
        MassFunction(torch.tensor(values))
