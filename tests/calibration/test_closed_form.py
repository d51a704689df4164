import pytest
import torch

from bogc.calibration import CONSERVATISMS, WEIGHTS, Pipeline, closed_form
from bogc.calibration.certainties import FullCertainty
from bogc.calibration.closed_form import CERTAINTIES, MEANS, ClosedForm
from bogc.calibration.means import EqualMean


def test_every_kind_of_weights_and_conservatism_has_a_form():
    assert set(MEANS) == set(WEIGHTS.values())
    assert {rule[0] for rule in CERTAINTIES} == set(CONSERVATISMS.values())


def test_a_form_is_two_objects_by_the_types_of_the_pipeline():
    form = closed_form(Pipeline())
    assert (type(form.mean).__name__, type(form.certainty).__name__) == ("BeliefMean", "SignCertainty")


@pytest.mark.parametrize("sources", [1, 2, 5])
def test_equal_weights_without_conservatism_add_up_posterior_means(sources):
    """Where noise is the scale of the prior, b = 1/2."""
    ones = [torch.ones(1, 4)] * sources
    gradients = [torch.full((1, 4), float(s + 1)) for s in range(sources)]
    out = torch.empty(1, 4)
    ClosedForm(EqualMean(), FullCertainty()).write(gradients, ones, ones, ones, ones, out)
    assert out.tolist() == [[sum(range(1, sources + 1)) / 2] * 4]
