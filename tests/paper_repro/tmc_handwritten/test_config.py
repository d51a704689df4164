import pytest

from bogc.errors import RangeError
from paper_repro.tmc_handwritten.config import TmcConfig


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"annealing_epochs": 0}, "annealing_epochs must be at least 1"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"shuffles": 0}, "shuffles must be at least 1"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"folds": 2}, "folds must be at least 3"),
        ({"rates": (0.1, 0.0)}, "rates must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(change, match):
    with pytest.raises(RangeError, match=match):
        TmcConfig(**change)
