import pytest

from bogc.errors import RangeError
from paper_repro.gradient_uncertainty.config import UncertaintyConfig


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("seeds", 0, "seeds must be at least 1"),
        ("window", 0, "window must be at least 1"),
        ("batches", 0, "batches must be at least 1"),
        ("reference", 1, "reference must be at least 2"),
        ("dimensions", 7, "dimensions must be at least 8"),
        ("batch_size", 7, "batch_size must be at least 8"),
        ("features", 1, "features must be at least 2"),
        ("steps", 9, "steps must be at least 10"),
        ("stops", (0.5, 1.0), "stops must lie in"),
    ],
)
def test_numbers_out_of_range(field: str, value: object, rule: str):
    with pytest.raises(RangeError, match=rule):
        UncertaintyConfig(**{field: value})
