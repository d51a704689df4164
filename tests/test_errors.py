import copy
import pickle

import pytest

from bogc import errors
from bogc.errors import BogcError

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BogcError)]
PARTS = ("prior_weight", "must be positive", -1.5, "Use 2, or K.")
EVERY = pytest.mark.parametrize("kind", ALL)
BUILT_IN = (ValueError, TypeError, OSError, RuntimeError)


def assert_same_error(found: BogcError, expected: BogcError) -> None:
    assert type(found) is type(expected)
    assert vars(found) == vars(expected)
    assert str(found) == str(expected)


@EVERY
def test_the_message_has_all_four_parts(kind):
    assert str(kind(*PARTS)) == "prior_weight must be positive; found -1.5. Use 2, or K."


@EVERY
def test_the_parts_are_fields(kind):
    error = kind(*PARTS)
    assert (error.parameter, error.rule, error.found, error.remedy) == PARTS


@EVERY
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_pickling(kind, protocol):
    error = kind(*PARTS)
    assert_same_error(pickle.loads(pickle.dumps(error, protocol)), error)


@EVERY
def test_errors_survive_copying(kind):
    assert_same_error(copy.copy(kind(*PARTS)), kind(*PARTS))


@EVERY
def test_errors_can_be_caught_as_the_built_in_they_refine(kind):
    assert kind is BogcError or issubclass(kind, BUILT_IN)
    with pytest.raises(BogcError, match="prior_weight must be positive"):
        raise kind(*PARTS)
