import pytest

from bogc.errors import RangeError
from paper_repro.affect.config import AffectConfig
from paper_repro.affect.run import IEMOCAP
from paper_repro.networks.affect import Dropouts


def test_the_defaults_are_those_of_the_released_code():
    config = AffectConfig()
    assert (config.epochs, config.batch_size, config.rate, config.classifier_rate) == (30, 64, 1e-3, 5e-4)
    assert (config.rho, config.direction, config.clip, config.patience) == (1.3, 0.2, 0.8, 10)
    assert (config.width, config.heads, config.layers, config.classifier_layers) == (40, 5, 5, 2)
    assert config.dropouts == Dropouts(0.15, 0.15, 0.1, 0.2)
    assert config.output == 0.1


def test_iemocap_differs_where_the_released_code_does():
    assert (IEMOCAP.full.layers, IEMOCAP.full.residual, IEMOCAP.full.output) == (4, 0.15, 0.2)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("rate", 0.0),
        ("clip", 0.0),
        ("rho", -0.1),
        ("width", 41),
        ("hidden", 1.0),
        ("output", 1),
    ],
)
def test_numbers_out_of_range_are_refused(setting: str, value: float):
    with pytest.raises(RangeError, match=f"{setting} must .*; found {value}"):
        AffectConfig(**{setting: value})
