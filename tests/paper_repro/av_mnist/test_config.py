import pytest

from bogc.errors import RangeError
from paper_repro.av_mnist.config import AvMnistConfig


def test_the_defaults_are_the_released_ones():
    config = AvMnistConfig()
    assert (config.train, config.epochs, config.patience, config.batch_size) == (55_000, 30, 10, 40)
    assert (config.unimodal_rate, config.joint_rate, config.product_rate) == (0.01, 0.1, 0.01)
    assert (config.weight_decay, config.clip) == (1e-4, 8.0)
    assert (config.unimodal_channels, config.joint_channels) == (3, 6)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("train", 0),
        ("batch_size", 1),
        ("joint_rate", 0.0),
        ("clip", 0.0),
        ("patience", -1),
        ("weight_decay", -1),
    ],
)
def test_numbers_out_of_range_are_refused(setting: str, value: float):
    with pytest.raises(RangeError, match=f"{setting} must .*; found {value}"):
        AvMnistConfig(**{setting: value})
