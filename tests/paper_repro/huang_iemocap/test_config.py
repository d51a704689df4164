import pytest

from bogc.errors import RangeError
from paper_repro.huang_iemocap.config import HuangIemocapConfig


@pytest.mark.parametrize(
    ("setting", "value", "found"),
    [
        ("width", 0, "0"),
        ("rate", 0.0, "0.0"),
        ("held_out", 1.0, "1.0"),
        ("shares", (1.0, 0.0), "0.0"),
        ("shares", (0.5,), "1"),
    ],
)
def test_numbers_out_of_range_are_refused(setting: str, value: object, found: str):
    with pytest.raises(RangeError, match=f"{setting} must .*; found {found}"):
        HuangIemocapConfig(**{setting: value})


def test_the_latent_width_is_the_papers():
    assert HuangIemocapConfig().width == 128
