import pytest

from bogc.errors import RangeError
from paper_repro.gradient_uncertainty.config import UncertaintyConfig


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("reference", 1, "reference must be at least 2"),
        ("features", 1, "features must be at least 2"),
        ("steps", 5, "steps must be at least 6"),
        ("moments", (3,), "moments must lie in 4 .. steps - 1"),
        ("moments", (200,), "moments must lie in 4 .. steps - 1"),
        ("settings", (("watch", 1, 2),), "settings must be batches of at least 2"),
        ("settings", (("watch", 64, 0),), "settings must be at least 1 network"),
    ],
)
def test_impossible_settings_are_refused(field: str, value: object, rule: str):
    with pytest.raises(RangeError, match=rule):
        UncertaintyConfig(**{field: value})
