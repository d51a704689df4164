import pytest

from bogc.errors import RangeError
from paper_repro.mimo_subroutine.config import MimoTimeConfig


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"sources": 2}, "sources must be at least 3; found 2"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"image": 0}, "image must be at least 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"features": 1}, "features must be at least 2"),
        ({"sizes": (100, 2), "judged": 100}, "sizes must be at least 3; found 2"),
        ({"sizes": (100,)}, "judged must be one of the sizes; found 11200000"),
    ],
)
def test_settings_out_of_range_are_refused(change, match):
    with pytest.raises(RangeError, match=match):
        MimoTimeConfig(**change)
