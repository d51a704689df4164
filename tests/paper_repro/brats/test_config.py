import pytest

from bogc.errors import RangeError
from paper_repro.brats.config import BratsConfig
from paper_repro.networks.segmentation import Sizes


def test_the_defaults_are_the_released_ones():
    config = BratsConfig()
    assert (config.epochs, config.warm_up, config.batch_size, config.side) == (75, 10, 64, 160)
    assert (config.first_rate, config.rate, config.last_rate) == (4e-4, 0.01, 1e-3)
    assert (config.classifier_rate, config.momentum, config.weight_decay) == (6e-3, 0.9, 3e-4)
    assert (config.rho, config.direction) == (1.0, 0.1)
    assert config.sizes == Sizes()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("epochs", 0), ("warm_up", 75), ("batch_size", 1), ("rate", 0.0), ("momentum", -1), ("width", 0)],
)
def test_numbers_out_of_range_are_refused(setting: str, value: float):
    with pytest.raises(RangeError, match=f"{setting} must .*; found {value}"):
        BratsConfig(**{setting: value})
