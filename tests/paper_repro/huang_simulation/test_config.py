import pytest

from bogc.errors import RangeError
from paper_repro.huang_simulation.config import HuangConfig


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train": 402}, "train must be at least 403; found 402"),
        ({"test": 0}, "test must be at least 1"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"overlaps": (0.5, 1.1)}, r"overlaps must lie in \[0, 1\]; found 1.1"),
        ({"overlaps": (-0.1,)}, "overlaps must lie in"),
    ],
)
def test_settings_out_of_range_are_refused(change, match):
    with pytest.raises(RangeError, match=match):
        HuangConfig(**change)
