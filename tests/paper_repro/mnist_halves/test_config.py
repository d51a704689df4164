import pytest

from bogc.errors import RangeError
from paper_repro.mnist_halves.config import MnistHalvesConfig


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train": 50_001}, r"train must lie in 1 .. 50000; found 50001"),
        ({"validation": 0}, r"validation must lie in 1 .. 10000"),
        ({"test": 10_001}, r"test must lie in 1 .. 10000"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"chains": 0}, "chains must be at least 1"),
        ({"most_rounds": 0}, "most_rounds must be at least 1"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"costs": ()}, "costs must name at least one"),
        ({"costs": (1.0, 0.0)}, "costs must be positive; found 0.0"),
        ({"tolerance": -1.0}, "tolerance must not be negative"),
    ],
)
def test_settings_out_of_range_are_refused(change, match):
    with pytest.raises(RangeError, match=match):
        MnistHalvesConfig(**change)
